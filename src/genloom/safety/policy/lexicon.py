"""Where listed words stand in a view of a text: at word borders, or anywhere in Chinese."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from genloom.safety.policy.folding import JOIN, LEET, in_word
from genloom.safety.policy.views import View, key_of, views

MOST = 32  # matches of one text that are told


class Lexicon:
    """Listed words, ready to be found in any view.

    Args:
        words: As listed; a word that folds to nothing is left out.
        leet: Look through digits and signs that stand for letters.
        spaced: Look through spaces and signs between letters, and through repeated letters.
    """

    def __init__(self, words: Iterable[str], *, leet: bool, spaced: bool):
        self.words = tuple(words)
        self.leet, self.spaced = leet, spaced
        self._indexes: dict[str, dict[str, list[str]]] = {}

    def find(self, text: str) -> list[tuple[int, int]]:
        """Spans of listed words in the text as it was given, sorted, at most 32."""
        found: set[tuple[int, int]] = set()
        for view in views(text, leet=self.leet, spaced=self.spaced):
            for start, end in self._matches(view):
                found.add(view.folded.span(start, end))
                if len(found) >= MOST:
                    return sorted(found)
        return sorted(found)

    def _index(self, view: str) -> dict[str, list[str]]:
        """The words of a view by their first two letters."""
        if view not in self._indexes:
            index = defaultdict(list)
            for word in sorted(set(map(key_of(view), self.words)) - {""}, key=len, reverse=True):
                index[word[:2]].append(word)
            self._indexes[view] = dict(index)
        return self._indexes[view]

    def _matches(self, view: View) -> Iterator[tuple[int, int]]:
        text, index = view.folded.text, self._index(view.name)
        inner = [in_word(c) for c in text]
        for start in range(len(text)):
            cut = start > 0 and inner[start - 1] and inner[start]  # not at a word border
            if cut and view.anywhere is None:
                continue
            for head in {text[start : start + 2], text[start]}:
                for word in index.get(head, ()):
                    end = start + len(word)
                    if len(word) < view.shortest or not text.startswith(word, start):
                        continue
                    ends = end == len(text) or not (inner[end - 1] and inner[end])
                    if ((ends and not cut) or _spelled(view, start, end)) and _covers(
                        view, start, end
                    ):
                        yield start, end


def _spelled(view: View, start: int, end: int) -> bool:
    """Whether a long enough word lies within a run of letters that were all set apart."""
    if view.anywhere is None or end - start < view.anywhere:
        return False
    return all(flag & JOIN for flag in view.folded.flags[start + 1 : end])


def _covers(view: View, start: int, end: int) -> bool:
    """Whether a match covers each change that the view is about, and one true letter."""
    flags, changed = view.folded.flags[start:end], 0
    for flag in flags:
        changed |= flag
    if view.need & ~changed:
        return False
    letters = (c for c, flag in zip(view.folded.text[start:end], flags) if not flag & LEET)
    return not view.need & LEET or any(map(str.isalpha, letters))
