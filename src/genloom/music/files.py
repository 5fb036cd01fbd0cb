"""Words of music as files, which codecs and servers hand out, and scores of files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from genloom.errors import BadInput
from genloom.music import midi, roll, synth
from genloom.music.events import decode
from genloom.music.notes import Score, Unreadable

ROLLS = 32  # pieces in one picture


def score_of(path: Path) -> Score:
    """The score of a MIDI file.

    Raises:
        BadInput: It is none that can be read.
    """
    try:
        return midi.read(path.read_bytes())[0]
    except Unreadable as error:
        raise BadInput(f"{path} is no music that can be read: {error}.") from None


def to_midi(words: str) -> bytes:
    """A MIDI file of words, whatever they are."""
    return midi.write(decode(words))


def to_wav(words: str) -> bytes:
    """Their sound, as a WAV file."""
    return synth.wav(decode(words))


def to_rolls(texts: Sequence[str]) -> bytes:
    """The piano rolls of the first of several pieces below each other, as a PNG."""
    out = io.BytesIO()
    roll.sheet([decode(words) for words in texts[:ROLLS]]).save(out, "PNG", optimize=True)
    return out.getvalue()
