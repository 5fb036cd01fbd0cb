"""Texts as they grow, cut at a stop or at their length, and how likely each token was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final


@dataclass(frozen=True)
class Score:
    """A drawn token and its log-probability in nats; then the likeliest ones and theirs."""

    token: str
    nats: float
    top: tuple[tuple[str, float], ...] = ()


@final
@dataclass
class Text:
    """One text as it grows; a token is a character."""

    text: str = ""
    sent: int = 0  # characters that were shown
    count: int = 0  # tokens, those of a stop not counted
    reason: str | None = None  # why it has ended
    scores: list[Score] = field(default_factory=list)  # of its characters and of a stop's, if asked


@final
class Writing:
    """The texts of one request, cut at a stop or at the length.

    Args:
        alphabet: Of the model.
        n: How many.
        most: Tokens of each.
        stops: Strings that end a text; they are not part of it.
    """

    def __init__(self, alphabet: str, n: int, most: int, stops: Sequence[str]):
        self.alphabet, self.most, self.stops = alphabet, most, tuple(stops)
        self.texts = [Text() for _ in range(n)]

    def add(
        self, rows: Sequence[Sequence[int]], scores: Sequence[Sequence[Score]] | None = None
    ) -> list[tuple[int, str]]:
        """Take new tokens; (index, what may be shown of it) for each text that moved.

        Args:
            rows: Tokens of each text; -1 where it had ended.
            scores: Of the same tokens.
        """
        shown: list[tuple[int, str]] = []
        for i, (text, row) in enumerate(zip(self.texts, rows, strict=True)):
            for k, token in enumerate(row):
                if text.reason is None and token >= 0:
                    if scores is not None:
                        text.scores.append(scores[i][k])
                    self._one(text, self.alphabet[token])
            piece = self._ready(text)
            if piece:
                shown.append((i, piece))
        return shown

    def finish(self, i: int, text: str, *, stopped: bool) -> None:
        """Take a whole text that was not seen growing; it ends before a stop, or at its length."""
        self.texts[i] = Text(text, len(text), len(text), "stop" if stopped else "length")

    def refuse(self, i: int) -> None:
        """Take a text back: a filter does not let it out."""
        self.texts[i] = Text(count=self.texts[i].count, reason="content_filter")

    def _one(self, text: Text, letter: str) -> None:
        text.text += letter
        text.count += 1
        for stop in self.stops:
            if text.text.endswith(stop):
                text.text = text.text[: -len(stop)]
                text.count, text.reason = len(text.text), "stop"
                return
        if text.count >= self.most:
            text.reason = "length"

    def _ready(self, text: Text) -> str:
        """What was not shown yet, without an ending that may become a stop."""
        held = 0
        if text.reason is None:
            for stop in self.stops:
                for size in range(min(len(stop) - 1, len(text.text)), 0, -1):
                    if text.text.endswith(stop[:size]):
                        held = max(held, size)
                        break
        piece = text.text[text.sent : len(text.text) - held]
        text.sent += len(piece)
        return piece
