"""Music as a grid of tokens: a row for each voice, a column for each frame; see `music.voices`.

What a model of grids fills in is harmony: masked diffusion over this one writes the voices that are
missing, as Coconet does (Huang et al., 2017, arXiv:1903.07227). Velocities, tempo, time signatures,
instruments, drums, and all but the highest of notes that a voice has at once are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor

from genloom.codecs.roll import SPANS
from genloom.codecs.scores import Scores
from genloom.codecs.text import Text
from genloom.core import Codec, Interval, Items, Tokens
from genloom.errors import BadInput
from genloom.music.chorales import VOICES
from genloom.music.notes import TRACKS, Score, Track
from genloom.music.voices import CELLS, REST, grid, notes, struck


@final
class Voices(Codec):
    """Words of music (L,) <-> Tokens((voices, frames), V): a rest, or a pitch, struck or held.

    Only pitches that the items have are tokens. Pieces that share a row follow each other, a frame
    of rest between them; what is longer is cut, and after the end all voices rest.

    Args:
        items: What is stored.
        voices: The first tracks that are no drums; a piece that has fewer rests in the others.
            No more than the items have tracks.
        frames: Of a row.
        span: What a frame lasts; "finest" is the longest on whose borders all notes of the items
            begin and end.
    """

    kinds: ClassVar[tuple[str, ...]] = ("music",)
    suffix: ClassVar[str] = ".mid"
    space: Tokens

    def __init__(
        self,
        items: Items,
        *,
        voices: Annotated[int, Interval(ge=1, le=TRACKS)] = 4,
        frames: Annotated[int, Interval(ge=2, le=4096)] = 128,
        span: Literal["finest", "quarter", "eighth", "sixteenth"] = "finest",
    ):
        self.scores, self._files = Scores(items, "voices"), Text(items)
        super().__init__(items)
        self.span = SPANS.get(span, self.scores.finest)
        pitches = self.scores.numbers("Pitch")
        self.space = Tokens((voices, frames), 1 + 2 * len(pitches))
        self._cells = torch.tensor([REST, *(struck(p) + held for p in pitches for held in (0, 1))])
        near = [min(range(len(pitches)), key=lambda i: abs(pitches[i] - p)) for p in range(128)]
        self._tokens = torch.tensor([REST, *(1 + 2 * i + held for i in near for held in (0, 1))])
        assert len(self._tokens) == CELLS

    def check(self) -> None:
        """See `Codec`: the items must have words for so many voices."""
        voices = self.space.shape[0]
        if voices > self.sayable:
            raise BadInput(
                f"codec.voices = {voices}, and the pieces of the data have at most {self.sayable} "
                f"tracks: set codec.voices={self.sayable}, or bring pieces with a track per voice."
            )

    @property
    def sayable(self) -> int:
        """How many voices the items have words for, from the first one on."""
        there = self.scores.numbers("Track")
        return next(i for i in count() if i not in there)

    def encode(self, items: Tensor) -> Tensor:
        """(B, L) integers -> (B, voices, frames) int64."""
        x = torch.full((len(items), *self.space.shape), REST)
        voices, frames = self.space.shape
        for row, item in zip(x, items.tolist()):
            start = 0
            for piece in self.scores.read(item, places=voices):
                size = min(-(-piece.end // self.span), frames - start)
                row[:, start : start + size] = self.tokens(
                    grid(sung(piece, voices), self.span, size)
                )
                start = min(start + size + 1, frames)
        return x.to(items.device)

    def decode(self, x: Tensor) -> Tensor:
        """(B, voices, frames) -> (B, L) int64, in words that the items have; see `Scores.rows`."""
        scores = [self.scores.score(self.tracks(cells)) for cells in self.cells(x).cpu()]
        return self.scores.rows(scores).to(x.device)

    def tokens(self, cells: Tensor) -> Tensor:
        """Cells of `music.voices` as tokens of the same shape, of the nearest pitches there are."""
        return self._tokens.to(cells.device)[cells]

    def cells(self, x: Tensor) -> Tensor:
        """Tokens as cells of `music.voices`."""
        return self._cells.to(x.device)[x.clamp(0, self.space.vocab - 1)]

    def tracks(self, cells: Tensor) -> list[Track]:
        """Rows of cells as the tracks of a choir, or of what the items have next to it."""
        program = self.scores.nearest("Program", VOICES)
        return [Track(tuple(notes(row, self.span)), program) for row in cells.tolist()]

    def write(
        self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping[str, Any]]
    ) -> None:
        """As the codec of words writes them."""
        self._files.write(items, paths, metadata)


def sung(score: Score, voices: int) -> list[Track]:
    """The first tracks that are no drums, and empty ones in the places of those that are not."""
    found = score.pitched[:voices]
    return found + [Track(())] * (voices - len(found))
