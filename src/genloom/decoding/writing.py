"""Texts as they grow, cut at a stop or at their length, and how likely each token was."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import final

from genloom.lexicon import END, HOLE, Lexicon

UNSETTLED = 64  # tokens that are read again at most, where they are no text


@dataclass(frozen=True)
class Score:
    """A token and what was thought of it.

    Args:
        token: What it says alone.
        nats: Its log-probability.
        top: The likeliest ones, and theirs.
        start: The character of the text where it begins.
    """

    token: str
    nats: float
    top: tuple[tuple[str, float], ...] = ()
    start: int = 0

    def among(self, before: str, after: str) -> Score:
        """The same, of the token that makes one text of another: not before half a letter."""
        least = len(before) - before.endswith(HOLE)
        return replace(self, start=max(least, len(after) - len(self.token)))


@final
class Reading:
    """What tokens say after others; to take one more, only the last are read again.

    Args:
        lexicon: Of the tokens.
        given: What stands before them: a word is parted from it, and half a letter goes on.
    """

    def __init__(self, lexicon: Lexicon, given: Sequence[int] = ()):
        end = lexicon.mark(END)  # after which nothing would be read
        first = next((k for k in range(len(given), 0, -1) if given[k - 1] == end), 0)
        self.text, self._decode = "", lexicon.decode
        self._settled, self._read, self._last = "", list(given[first:]), list[int]()
        self._known = len(self._decode(self._read))

    def add(self, *tokens: int) -> str:
        """Take more; the text of all of them."""
        self._last = [*self._last, *tokens]
        read = self._decode([*self._read, *self._last])
        self.text = self._settled + read[self._known :]
        if self._last and (not read.endswith(HOLE) or len(self._last) > UNSETTLED):
            self._settled, self._read, self._last = self.text, self._last, []
            self._known = len(self._decode(self._read))
        return self.text


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
        given: What they go on from.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        n: int,
        most: int,
        stops: Sequence[str],
        ends: Sequence[int] = (),
        given: Sequence[int] = (),
    ):
        self.lexicon, self.most, self.stops, self.given = lexicon, most, tuple(stops), given
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
                    before = text.text
                    whole = self._one(text, self._readings[i], token)
                    if scores is not None:
                        text.scores.append(scores[i][k].among(before, whole))
            piece = self._ready(text)
            if piece:
                shown.append((i, piece))
        return shown

    def finish(self, i: int, tokens: Sequence[int], *, stopped: bool) -> None:
        """Take a whole text that was not seen growing; it ends at a stop, or at its length.

        Args:
            i: Which one.
            tokens: All that were drawn, those of a stop in `stops` included.
            stopped: Whether something else than its length ended it.
        """
        whole = Reading(self.lexicon, self.given).add(*tokens)
        places = [place for stop in self.stops if (place := whole.find(stop)) >= 0]
        text, count = whole, len(tokens)
        if places:
            text, stopped = whole[: min(places)], True
            count = self._needed(tokens, text)
        reason = "stop" if stopped else "length"
        self.texts[i] = Text(list(tokens[:count]), text, len(text), count, reason)

    def whole(self, i: int) -> None:
        """Take it that a text that was seen growing had its form: no length cut it short."""
        if self.texts[i].count:  # where nothing was to be written, nothing had a form
            self.texts[i].reason = "stop"

    def refuse(self, i: int) -> None:
        """Take a text back: a filter does not let it out."""
        self.texts[i] = Text(count=self.texts[i].count, reason="content_filter")

    @cached_property
    def _readings(self) -> list[Reading]:
        """Of each text; made where one is seen growing."""
        first = Reading(self.lexicon, self.given)
        return [copy(first) for _ in self.texts]

    def _one(self, text: Text, reading: Reading, token: int) -> str:
        """Take a token; the text with it, and with a stop."""
        if token in self.ends:
            text.reason = "stop"
            return text.text
        known = len(text.text.rstrip(HOLE))  # half a letter becomes another one
        text.tokens.append(token)
        text.text = whole = reading.add(token)
        text.count += 1
        found = [(stop, max(0, known - len(stop) + 1)) for stop in self.stops]
        places = [place for one in found if (place := text.text.find(*one)) >= 0]
        if places:
            text.text = text.text[: min(places)]
            text.count, text.reason = self._needed(text.tokens, text.text), "stop"
            text.tokens = text.tokens[: text.count]
        elif text.count >= self.most:
            text.reason = "length"
        return whole

    def _needed(self, tokens: Sequence[int], text: str) -> int:
        """Of tokens that say more than a text, how many that text needs."""
        reading = Reading(self.lexicon, self.given)
        reads = ("", *(reading.add(token) for token in tokens))  # half a letter is another one
        found = (k for k, read in enumerate(reads) if read[: len(text)] == text)
        return next(found, len(tokens))

    def _ready(self, text: Text) -> str:
        """What was not shown yet, without an ending that may become a stop or a letter."""
        held = 0
        if text.reason is None:
            settled = text.text.rstrip(HOLE)  # a stop may go on with the letter that is half read
            begun = (
                size
                for stop in self.stops
                for size in range(min(len(stop) - 1, len(settled)), 0, -1)
                if settled.endswith(stop[:size])
            )
            held = len(text.text) - len(settled) + max(begun, default=0)
        piece = text.text[text.sent : len(text.text) - held]
        text.sent += len(piece)
        return piece
