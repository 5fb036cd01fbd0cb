"""Music as a piano roll: which of 88 keys sound in each frame of a piece.

The form of Boulanger-Lewandowski et al., 2012 (arXiv:1206.6392): binary frames of equal length.
Voices, instruments, drums, and whether a key is held or struck again are not kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor

from genloom.codecs.text import Text
from genloom.core import Codec, Interval, Items, Tokens
from genloom.errors import BadInput
from genloom.lexicon import END
from genloom.music.chorales import held
from genloom.music.events import cut, decode, encode
from genloom.music.notes import STEPS, USUAL_TEMPO, Meter, Score, Tempo, Track

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

    kinds: ClassVar[tuple[str, ...]] = ("text",)
    suffix: ClassVar[str] = ".mid"
    space: Tokens

    def __init__(
        self,
        items: Items,
        *,
        frames: Annotated[int, Interval(ge=2, le=4096)] = 256,
        span: Literal["quarter", "eighth", "sixteenth"] = "quarter",
    ):
        super().__init__(items)
        if items.medium != "music" or items.lexicon is None:
            raise BadInput(f"roll reads music, not {items.medium}. Leave codec out, or use text.")
        self.span, self.words = SPANS[span], items.lexicon
        self.space = Tokens((frames, KEYS), OVER + 1, OVER)
        self._files, self._values = Text(items), defaultdict[str, list[str]](list)
        for word in self.words.decode(range(self.words.letters)).split():
            kind, _, value = word.partition("_")
            self._values[kind].append(value)

    def encode(self, items: Tensor) -> Tensor:
        """(B, L) integers -> (B, frames, 88) int64."""
        x = torch.full((len(items), *self.space.shape), OVER)
        for row, item in zip(x, items.tolist()):
            start = 0
            for piece in _pieces(item, self.words.mark(END)):
                keys = keys_of(decode(self.words.decode(piece)), self.span)
                room = row[start : start + len(keys)]
                room.copy_(keys[: len(room)])
                start += len(keys) + 1
        return x.to(items.device)

    def decode(self, x: Tensor) -> Tensor:
        """(B, frames, 88) -> (B, L) int64: the first piece, in words that the items have."""
        length = self.items.shape[0]
        found = torch.full((len(x), length), self.words.mark(END))
        for row, keys in zip(found, x.cpu()):
            over = torch.cat([(keys >= OVER).any(1), torch.ones(1, dtype=torch.bool)])
            score = self._score(keys[: int(over.long().argmax())])
            ids = self.words.encode(self._known(cut(encode(score), length)[0]))[:length]
            row[: len(ids)] = torch.tensor(ids)
        return found.to(x.device)

    def _score(self, keys: Tensor) -> Score:
        """Frames (T, 88) as one track, with an instrument, tempo and meter that the items have."""
        frames = [(row.nonzero()[:, 0] + LOWEST).tolist() for row in keys]
        meters = self._values["Meter"]
        meter = "4/4" if "4/4" in meters or not meters else meters[0]
        count, unit = map(int, meter.split("/"))
        track = Track(held(frames, self.span), self._nearest("Program", 0))
        tempo = Tempo(0, self._nearest("Tempo", USUAL_TEMPO))
        return Score((track,), (tempo,), (Meter(0, count, unit),))

    def _nearest(self, kind: str, number: int) -> int:
        """Of the numbers that words of a kind have; the number itself where there are none."""
        return min(map(int, self._values[kind]), key=lambda n: abs(n - number), default=number)

    def _known(self, text: str) -> str:
        """The same words, or those nearest to them, as far as the items have any of their kind."""
        words = []
        for word in text.split():
            kind, mark, value = word.partition("_")
            near = mark and value.isdecimal()
            words.append(f"{kind}_{self._nearest(kind, int(value))}" if near else word)
        return self.words.known(" ".join(words))

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


def _pieces(ids: Sequence[int], end: int) -> Iterator[list[int]]:
    """The documents of a row."""
    run: list[int] = []
    for i in [*ids, end]:
        if i != end:
            run.append(i)
        elif run:
            yield run
            run = []
