"""Music as a piano roll: which of 88 keys sound in each frame of a piece.

The form of Boulanger-Lewandowski et al., 2012 (arXiv:1206.6392): binary frames of equal length.
Voices, instruments, drums, and whether a key is held or struck again are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor

from genloom.codecs.scores import Scores
from genloom.codecs.text import Text
from genloom.core import Codec, Interval, Items, Tokens
from genloom.music.chorales import held
from genloom.music.notes import STEPS, Score, Track

LOWEST, KEYS = 21, 88  # the first pitch of a piano, and how many it has
OVER = 2
SPANS = {"quarter": STEPS, "eighth": STEPS // 2, "sixteenth": STEPS // 4}


@final
class Roll(Codec):
    """Words of music (L,) <-> Tokens((frames, 88), 3): silent, sounding, and over.

    A frame that is over closes a piece and fills up; pieces that share a row follow each other.

    Args:
        items: What is stored.
        frames: The most of a row; what is longer is cut.
        span: What a frame lasts; a key sounds in it that sounds at its start.
    """

    kinds: ClassVar[tuple[str, ...]] = ("music",)
    suffix: ClassVar[str] = ".mid"
    space: Tokens

    def __init__(
        self,
        items: Items,
        *,
        frames: Annotated[int, Interval(ge=2, le=4096)] = 256,
        span: Literal["quarter", "eighth", "sixteenth"] = "quarter",
    ):
        self.scores, self.span = Scores(items, "roll"), SPANS[span]
        super().__init__(items)
        self.space = Tokens((frames, KEYS), OVER + 1, OVER)
        self._files = Text(items)

    def encode(self, items: Tensor) -> Tensor:
        """(B, L) integers -> (B, frames, 88) int64."""
        x = torch.full((len(items), *self.space.shape), OVER)
        for row, item in zip(x, items.tolist()):
            start = 0
            for piece in self.scores.read(item):
                keys = keys_of(piece, self.span)
                room = row[start : start + len(keys)]
                room.copy_(keys[: len(room)])
                start += len(keys) + 1
        return x.to(items.device)

    def decode(self, x: Tensor) -> Tensor:
        """(B, frames, 88) -> (B, L) int64: the first piece, in words that the items have."""
        made = []
        for keys in x.cpu():
            over = torch.cat([(keys >= OVER).any(1), torch.ones(1, dtype=torch.bool)])
            frames = [
                (row.nonzero()[:, 0] + LOWEST).tolist() for row in keys[: over.long().argmax()]
            ]
            track = Track(held(frames, self.span), self.scores.nearest("Program", 0))
            made.append(self.scores.score([track]))
        return self.scores.rows(made).to(x.device)

    def write(
        self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping[str, Any]]
    ) -> None:
        """As the codec of words writes them."""
        self._files.write(items, paths, metadata)


def keys_of(score: Score, span: int) -> Tensor:
    """Which keys sound at the start of each frame of `span` steps, int64 (T, 88); no drums."""
    keys = torch.zeros(-(-score.end // span), KEYS, dtype=torch.long)
    for track in score.tracks:
        for note in track.notes:
            if not track.drum and LOWEST <= note.pitch < LOWEST + KEYS:
                first, stop = -(-note.start // span), -(-(note.start + note.length) // span)
                keys[first:stop, note.pitch - LOWEST] = 1
    return keys
