"""Listed words and patterns, found through the spellings that are meant to hide them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, final

from genloom.core import Interval
from genloom.errors import BadInput
from genloom.safety.policy.folding import fold, normal
from genloom.safety.policy.lexicon import Lexicon
from genloom.safety.policy.patterns import Patterns
from genloom.safety.policy.schema import VerdictName, file_of, strings
from genloom.safety.policy.verdict import ALLOWED, Outcome, Verdict

LARGEST = 4 * 2**20  # bytes of a file of words


@final
class Words:
    """The filter `use = "words"`.

    Chinese, Japanese, Korean and Thai words are found anywhere, others at word borders. Patterns
    see the text twice, in NFKC and folded (lower case, no marks, lookalikes as a to z): a pattern
    of Latin letters finds Cyrillic disguises, a Cyrillic pattern finds Cyrillic text.

    Args:
        folder: Of the policy file; `file` is relative to it.
        words: Words and phrases.
        file: More of them, one a line; lines that begin with # are remarks.
        unless: Longer phrases; what stands within one is not a match.
        patterns: Regular expressions of Python's `re`; see `patterns` for their time limit.
        leet: Digits and signs may stand for letters.
        spaced: Letters may be set apart or repeated.
        verdict: Of a text in which one is found.
        category: What they are, as moderation calls it or in a word of your own.
        pattern_limit_s: Seconds for all patterns on one batch.
    """

    reads = ("text",)

    def __init__(
        self,
        folder: Path,
        *,
        words: list | None = None,
        file: str | None = None,
        unless: list | None = None,
        patterns: list | None = None,
        leet: bool = True,
        spaced: bool = True,
        verdict: VerdictName = "refuse",
        category: str = "words",
        pattern_limit_s: Annotated[float, Interval(ge=0.01, le=10)] = 0.25,
    ):
        listed = strings("words", words) + (_lines(file_of(folder, file)) if file else [])
        blank = [word for word in listed if not fold(word).text.strip()]
        if blank:
            raise BadInput(f"the word {blank[0]!r} has nothing visible in it. Leave it out.")
        if not listed and not patterns:
            raise BadInput("there are no words. Set words, file or patterns.")
        self.category, self.verdict = category, Verdict(verdict)
        self.lexicon = Lexicon(listed, leet=leet, spaced=spaced)
        self.unless = Lexicon(strings("unless", unless), leet=False, spaced=False)
        self.patterns = Patterns(strings("patterns", patterns), limit_s=pattern_limit_s)

    def check(self, batch: Sequence[str]) -> list[Outcome]:
        """An outcome for each text."""
        found = [set(self._listed(text)) for text in batch]
        for text, spans in zip(batch, found, strict=True):
            if not spans and self.patterns.patterns:
                spans |= self._matched(text)
        return [self._outcome(sorted(spans)) for spans in found]

    def close(self) -> None:
        """End the process that runs the patterns."""
        self.patterns.close()

    def _listed(self, text: str) -> list[tuple[int, int]]:
        spans = self.lexicon.find(text)
        excused = self.unless.find(text) if spans and self.unless.words else []
        return [(a, b) for a, b in spans if not any(c <= a and b <= d for c, d in excused)]

    def _matched(self, text: str) -> set[tuple[int, int]]:
        seen = [normal(text), fold(text, looks=True)]
        found = self.patterns.find([f.text for f in seen])
        return {seen[t].span(start, end) for _, t, start, end in found}

    def _outcome(self, spans: list[tuple[int, int]]) -> Outcome:
        if not spans:
            return ALLOWED
        return Outcome(self.verdict, "a listed word or pattern was found", 1.0, tuple(spans))


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{path} has more than {LARGEST} bytes: that is no list of words.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text: {error}.") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
