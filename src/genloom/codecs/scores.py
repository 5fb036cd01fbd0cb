"""Rows of words of music as scores, and back: for codecs that show music as grids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from math import gcd

import torch
from torch import Tensor

from genloom.core import Items
from genloom.errors import BadInput
from genloom.lexicon import END
from genloom.music.events import cut, decode, encode
from genloom.music.notes import USUAL_TEMPO, Meter, Score, Tempo, Track, quantized

CLOSE = ("Position", "Tempo", "Program", "Velocity", "Duration")  # the nearest will do
NUMBERS = (*CLOSE, "Pitch")


class Scores:
    """Between rows of words and scores, with no words but those that the items have.

    Args:
        items: Music.
        codec: Who asks, for the error.

    Raises:
        BadInput: They are something else.
    """

    def __init__(self, items: Items, codec: str):
        if items.medium != "music" or items.lexicon is None:
            raise BadInput(
                f"{codec} reads music, not {items.medium}. Leave codec out, or use text."
            )
        self.words, self.length = items.lexicon, items.shape[0]
        self.values = defaultdict[str, list[str]](list)  # kind -> what its words say
        for word in self.words.decode(range(self.words.letters)).split():
            kind, _, value = word.partition("_")
            self.values[kind].append(value)

    def numbers(self, kind: str) -> list[int]:
        """Of the words of a kind, such as Pitch; in order."""
        return sorted(map(int, self.values[kind]))

    def nearest(self, kind: str, number: int) -> int:
        """Of the numbers that words of a kind have; the number itself where there are none."""
        return min(map(int, self.values[kind]), key=lambda n: abs(n - number), default=number)

    def meters(self) -> list[Meter]:
        """The time signatures that there are, or 4/4; 4/4 is the first where it is one."""
        found = sorted(self.values["Meter"], key=lambda value: value != "4/4") or ["4/4"]
        return [Meter(0, *map(int, value.split("/"))) for value in found]

    @property
    def finest(self) -> int:
        """The longest step on whose multiples all notes of the items begin and end."""
        steps = [*map(int, self.values["Position"] + self.values["Duration"])]
        return reduce(gcd, [*steps, *(meter.bar for meter in self.meters())])

    def score(self, tracks: Sequence[Track]) -> Score:
        """Tracks with a tempo and a time signature that the items have."""
        tempo = Tempo(0, self.nearest("Tempo", USUAL_TEMPO))
        return Score(tuple(tracks), (tempo,), (self.meters()[0],))

    def read(self, row: Sequence[int], *, places: int = 0) -> Iterator[Score]:
        """The pieces that share a row; see `music.events.decode` for their places."""
        run, end = list[int](), self.words.mark(END)
        for i in [*row, end]:
            if i != end:
                run.append(i)
            elif run:
                yield decode(self.words.decode(run), places=places)
                run = []

    def rows(self, scores: Sequence[Score]) -> Tensor:
        """A row for each, int64 (B, L): the nearest words that there are; what is longer is cut.

        A track that the items have not is left out, for the nearest one is another voice.
        """
        found = torch.full((len(scores), self.length), self.words.mark(END))
        for row, score in zip(found, scores):
            words = self._near(cut(encode(self._said(score)), self.length)[0], NUMBERS)
            ids = self.words.encode(self.words.known(" ".join(words)))[: self.length]
            row[: len(ids)] = torch.tensor(ids)
        return found

    def row(self, score: Score) -> Tensor:
        """That of a piece which was not made from frames, int64 (L,); see `rows`.

        Raises:
            BadInput: It has a track that the items have not.
        """
        words = cut(encode(score), self.length)[0].split()
        self.words.encode(" ".join(word for word in words if word.startswith("Track")))
        return self.rows([score])[0]

    def opening(self, score: Score) -> str:
        """The words of a piece, and of a new bar after it: what a model goes on from.

        Notes are moved to the steps that the items have; tempos, instruments, how hard notes are
        struck, and lengths become the nearest ones. Tracks, pitches and time signatures stay.

        Raises:
            BadInput: The items have not all of those, or the words leave no room for another.
        """
        words = [*self._near(encode(quantized(score, self.finest)), CLOSE), "Bar"]
        if len(words) >= self.length:
            message = f"the music has {len(words)} words, and a text {self.length}: shorten it."
            raise BadInput(message)
        text = " ".join(words)
        self.words.encode(text)
        return text

    def _said(self, score: Score) -> Score:
        """The same without the notes of tracks that the items have not; all keep their places."""
        there = self.numbers("Track")
        tracks = [t if i in there else replace(t, notes=()) for i, t in enumerate(score.tracks)]
        return replace(score, tracks=tuple(tracks))

    def _near(self, text: str, kinds: Collection[str]) -> list[str]:
        """The same words, those of some kinds as the nearest that there are, if there are any."""
        words = text.split()
        near = {word: self._nearest(word) if _kind(word) in kinds else word for word in set(words)}
        return [near[word] for word in words if near[word]]

    def _nearest(self, word: str) -> str:
        """That of a kind that has numbers; empty where there is none."""
        kind, _, value = word.partition("_")
        return f"{kind}_{self.nearest(kind, int(value))}" if self.values[kind] else ""


def _kind(word: str) -> str:
    return word.partition("_")[0]
