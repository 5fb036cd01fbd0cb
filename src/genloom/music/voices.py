"""A score as a grid: what each voice does in each frame, as a whole number.

The grid of Coconet (Huang et al., 2017, arXiv:1903.07227, section 3): a voice has one pitch at a
time, or rests. Here its cell also tells whether the note is struck or goes on. The number of a cell
is `REST`, `struck(pitch)` or the next one after it, which is the same pitch held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.music.events import USUAL_VELOCITY, velocity
from genloom.music.notes import LONGEST, Note, Track

REST = 0
CELLS = 1 + 2 * 128  # numbers that a cell may have


def struck(pitch: int) -> int:
    """The number of a cell in which a note begins."""
    return 1 + 2 * pitch


def pitch_of(cells: Tensor) -> Tensor:
    """The pitch of each cell; -1 of a rest."""
    return (cells + 1) // 2 - 1


def grid(tracks: Sequence[Track], span: int, frames: int) -> Tensor:
    """What sounds at the start of each frame of `span` steps, a row for each track: (V, frames).

    Of several notes of a track the highest is kept; what comes after the last frame is cut.
    """
    cells = torch.full((len(tracks), frames), REST)
    for row, track in zip(cells, tracks):
        for note in sorted(track.notes, key=lambda note: (note.pitch, note.start)):
            first, stop = -(-note.start // span), -(-(note.start + note.length) // span)
            row[first:stop] = struck(note.pitch) + 1
            row[first : min(first + 1, stop)] = struck(note.pitch)
    return begun(cells)


def begun(cells: Tensor) -> Tensor:
    """Cells (..., frames) in which what goes on without having begun is struck."""
    before = F.pad(pitch_of(cells)[..., :-1], (1, 0), value=-1)
    held = (cells > REST) & (cells % 2 == 0)
    return cells - (held & (pitch_of(cells) != before)).long()


def notes(row: Sequence[int], span: int) -> Iterator[Note]:
    """The notes of a voice, whatever its cells are; one longer than a score has is struck again."""
    since = 0
    for i in range(1, len(row) + 1):
        on = i < len(row) and row[i] > REST and row[i] % 2 == 0
        if on and (row[i] - 1) // 2 == (row[since] - 1) // 2 and (i + 1 - since) * span <= LONGEST:
            continue
        if row[since] != REST:
            pitch, length = (row[since] - 1) // 2, (i - since) * span
            yield Note(since * span, pitch, length, velocity(USUAL_VELOCITY))
        since = i
