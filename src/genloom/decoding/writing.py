"""Texts as they grow, cut at a stop or at their length, and how likely each token was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from genloom.lexicon import END, HOLE, Lexicon


@dataclass(frozen=True)
class Score:
    """A drawn token and its log-probability in nats; then the likeliest ones and theirs."""

    token: str
    nats: float
    top: tuple[tuple[str, float], ...] = ()


@final
@dataclass
class Text:
    """One text as it grows.

    Args:
        tokens: Those that were drawn, without those of a stop.
        text: What they say, without a stop.
        sent: Characters of it that were shown.
        count: Tokens, those of a stop not counted where a token is a character.
        reason: Why it has ended.
        scores: Of its tokens and of a stop's, if asked for.
    """

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    sent: int = 0
    count: int = 0
    reason: str | None = None
    scores: list[Score] = field(default_factory=list)


@final
class Writing:
    """The texts of one request, cut at a stop or at the length.

    Args:
        lexicon: Of the model.
        n: How many.
        most: Tokens of each.
        stops: Strings that end a text; they are not part of it.
        ends: Tokens that end a text, besides the end of a document.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        n: int,
        most: int,
        stops: Sequence[str],
        ends: Sequence[int] = (),
    ):
        self.lexicon, self.most, self.stops = lexicon, most, tuple(stops)
        self.ends = {*ends, lexicon.mark(END)}
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
                if text.reason is None and token < 0:
                    text.reason = "stop"  # its form was complete
                elif text.reason is None:
                    if scores is not None:
                        text.scores.append(scores[i][k])
                    self._one(text, token)
            piece = self._ready(text)
            if piece:
                shown.append((i, piece))
        return shown

    def finish(self, i: int, text: str, *, stopped: bool) -> None:
        """Take a whole text that was not seen growing; it ends at a stop, or at its length."""
        places = (text.find(stop) for stop in self.stops)
        text = text[: min((place for place in places if place >= 0), default=len(text))]
        tokens = self.lexicon.encode(text)
        reason = "stop" if stopped else "length"
        self.texts[i] = Text(tokens, text, len(text), len(tokens), reason)

    def refuse(self, i: int) -> None:
        """Take a text back: a filter does not let it out."""
        self.texts[i] = Text(count=self.texts[i].count, reason="content_filter")

    def _one(self, text: Text, token: int) -> None:
        if token in self.ends:
            text.reason = "stop"
            return
        known = len(text.text)
        text.tokens.append(token)
        text.text = self.lexicon.grown(text.text, text.tokens)
        text.count += 1
        for stop in self.stops:
            place = text.text.find(stop, max(0, known - len(stop) + 1))
            if place >= 0:
                text.text = text.text[:place]
                text.count, text.reason = self._needed(text), "stop"
                text.tokens = text.tokens[: text.count]
                return
        if text.count >= self.most:
            text.reason = "length"

    def _needed(self, text: Text) -> int:
        """Of its tokens those that its text needs."""
        size, decode = len(text.text), self.lexicon.decode  # half a letter reads as another one
        return next(
            k for k in range(len(text.tokens) + 1) if decode(text.tokens[:k])[:size] == text.text
        )

    def _ready(self, text: Text) -> str:
        """What was not shown yet, without an ending that may become a stop or a letter."""
        held = 0
        if text.reason is None:
            held = len(text.text) - len(text.text.rstrip(HOLE))
            for stop in self.stops:
                for size in range(min(len(stop) - 1, len(text.text)), 0, -1):
                    if text.text.endswith(stop[:size]):
                        held = max(held, size)
                        break
        piece = text.text[text.sent : len(text.text) - held]
        text.sent += len(piece)
        return piece
