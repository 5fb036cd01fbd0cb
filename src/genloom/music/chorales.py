"""Chorales as lists of frames of pitches, the JSON form of the JSB data: parts, pieces, frames.

The file of Boulanger-Lewandowski et al., 2012 (arXiv:1206.6392) has a frame a quarter note, others
one a sixteenth. Frames do not tell a held note from one that is struck again: a pitch that goes on
is held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from genloom.music.events import USUAL_VELOCITY, velocity
from genloom.music.notes import LONGEST, STEPS, Note, Score, Track, Unreadable

VOICES = 52  # choir, in General MIDI
SILENT = -1  # a voice that pauses, where voices have places of their own
PITCHES = range(SILENT, 128)
_HEAD = re.compile(rb'\s*\{\s*"(train|valid|validation|test)"\s*:\s*\[\s*\[\s*\[')

Frames = Sequence[Sequence[int]]
"""The pitches that sound at each place of a piece, in order of time."""


def looks_like_chorales(head: bytes) -> bool:
    """Whether a file begins as such a one does; 64 bytes are enough."""
    return _HEAD.match(head) is not None


def pieces(data: bytes) -> dict[str, list[Frames]]:
    """The pieces of each part.

    Raises:
        Unreadable: It is something else.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable("bad_json", str(error)[:80]) from None
    if not isinstance(found, dict):
        raise Unreadable("bad_json", "no object of parts")
    for part, some in found.items():
        if not (isinstance(some, list) and all(map(_sound, some))):
            raise Unreadable("bad_json", f"{part[:20]!r} has no pieces of frames of pitches")
    return {
        part: [[[int(pitch) for pitch in frame] for frame in piece] for piece in some]
        for part, some in found.items()
    }


def _sound(piece: Any) -> bool:
    """Whether it is a list of frames; some files write pitches as 60.0."""
    return isinstance(piece, list) and all(
        isinstance(frame, list) and all(type(p) in (int, float) and p in PITCHES for p in frame)
        for frame in piece
    )


def span(found: dict[str, list[Frames]]) -> int:
    """Steps of a frame: of a sixteenth where more than a third repeat the one before, or a beat."""
    every = [piece for some in found.values() for piece in some]
    again = sum(a == b for piece in every for a, b in pairwise(piece))
    return STEPS // 4 if 3 * again > sum(map(len, every)) else STEPS


def score(piece: Frames, span: int) -> Score:
    """The score of a piece, for a choir.

    Args:
        piece: Where every frame has four places and some pause, each place is a voice with a track
            of its own, soprano first; else there is one track.
        span: Steps of a frame.
    """
    if separate(piece):
        rows = [[[frame[voice]] for frame in piece] for voice in range(4)]
    else:
        rows = [piece]
    tracks = [Track(held(row, span), VOICES) for row in rows]
    return Score(tuple(track for track in tracks if track.notes))


def separate(piece: Frames) -> bool:
    """Whether the places of a frame are voices: four everywhere, in no order of pitch."""
    return all(len(frame) == 4 for frame in piece) and any(
        list(frame) != sorted(frame) for frame in piece
    )


def held(frames: Frames, span: int) -> tuple[Note, ...]:
    """Notes of runs of frames of so many steps; one longer than a score has is struck again."""
    notes, since = list[Note](), dict[int, int]()
    hardness, most = velocity(USUAL_VELOCITY), LONGEST // span
    for i, frame in enumerate([*frames, []]):
        for pitch, start in list(since.items()):
            if pitch not in frame or i - start == most:
                notes.append(Note(start * span, pitch, (i - start) * span, hardness))
                del since[pitch]
        for pitch in frame:
            if pitch != SILENT:
                since.setdefault(pitch, i)
    return tuple(sorted(notes))
