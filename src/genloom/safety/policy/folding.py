"""Text as it reads rather than as it is encoded, with the way back to the text as it was given.

Folding undoes what Unicode offers for writing one word in many ways: compatibility forms (NFKC),
case, invisible characters, marks stacked on letters, and letters of other alphabets that look the
same. Marks that are vowels or tones of their script (Devanagari, Thai, kana) are kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from genloom.safety.policy.confusables import LOOKS_LIKE

LOOKS, JOIN, LEET, REPEAT = 1, 2, 4, 8
"""What was changed at a character, as flags."""

# combining diacritical marks, those for symbols, half marks, variation selectors, Hangul fillers
_DROPPED = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\ufe00-\ufe0f"
    "\U000e0000-\U000e01ef\u115f\u1160\u3164\uffa0]"
)
_VOWELS_AND_TAILS = range(0x1161, 0x1200)  # Hangul letters that join the one before
# Han, kana, Hangul, Thai, Lao, Myanmar, Khmer: words are not, or not reliably, set apart by spaces
UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True)
class Folded:
    """A folded text; character i stands for given[starts[i]:ends[i]].

    Args:
        text: Folded.
        starts: Of each character, in the text as it was given.
        ends: Of each character.
        flags: What was changed at each character.
    """

    text: str
    starts: list[int]
    ends: list[int]
    flags: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Of characters [start, end), in the text as it was given; end > start."""
        return self.starts[start], self.ends[end - 1]

    def pick(self, text: str, rows: list[int], added: list[int]) -> Folded:
        """Other characters for some of the rows, with further flags."""
        return Folded(
            text,
            [self.starts[i] for i in rows],
            [self.ends[i] for i in rows],
            [self.flags[i] | flag for i, flag in zip(rows, added, strict=True)],
        )


def normal(text: str) -> Folded:
    """NFKC without invisible characters; case, marks and alphabets are kept."""
    return _each(text, _normal)


def fold(text: str, *, looks: bool = False) -> Folded:
    """Lower case, no marks, no invisible characters; with `looks`, lookalikes become a to z."""
    return _each(text, _look if looks else _plain)


def _each(text: str, change: Callable[[str], Iterable[tuple[str, int]]]) -> Folded:
    letters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    flags: list[int] = []
    i = 0
    while i < len(text):
        j = i + 1
        while j < len(text) and _joins(text[j]):
            j += 1
        for letter, flag in change(text[i : min(j, i + 32)]):
            letters.append(letter)
            starts.append(i)
            ends.append(j)
            flags.append(flag)
        i = j
    return Folded("".join(letters), starts, ends, flags)


def _joins(c: str) -> bool:
    """Whether a character belongs to the one before it."""
    if c < "\u0300":
        return False
    return bool(unicodedata.combining(c) or _DROPPED.match(c)) or ord(c) in _VOWELS_AND_TAILS


def _seen(c: str) -> str:
    """The character, a space for any blank one, nothing for an invisible one."""
    if c.isspace() or c == "\u2800":
        return " "
    kind = unicodedata.category(c)
    return "" if kind in ("Cf", "Cc", "Me") or _DROPPED.match(c) else c


@lru_cache(maxsize=8192)
def _normal(group: str) -> tuple[tuple[str, int], ...]:
    kept = "".join(c for c in group if _seen(c) or unicodedata.combining(c))
    return tuple((c, 0) for c in unicodedata.normalize("NFKC", kept))


@lru_cache(maxsize=8192)
def _plain(group: str) -> tuple[tuple[str, int], ...]:
    bare = unicodedata.normalize("NFKD", group).casefold()
    bare = "".join(map(_seen, unicodedata.normalize("NFKD", bare)))
    return tuple((c, 0) for c in unicodedata.normalize("NFKC", bare))


@lru_cache(maxsize=8192)
def _look(group: str) -> tuple[tuple[str, int], ...]:
    found = []
    for c in unicodedata.normalize("NFKD", group):
        look = LOOKS_LIKE.get(c) or LOOKS_LIKE.get(c.casefold())
        found += [(x, LOOKS) for x in look] if look else []
        if not look and (seen := _seen(c)):
            found.append((seen, 0))
    if any(flag for _, flag in found):
        return tuple((x, flag) for c, flag in found for x in c.casefold())
    return _plain(group)


@lru_cache(maxsize=8192)
def in_word(c: str) -> bool:
    """Whether a character is part of a word of a script that sets words apart by spaces."""
    return (c.isalnum() or unicodedata.category(c)[0] == "M") and not _UNSPACED.match(c)
