"""Words of music as files: what codecs and servers hand out."""

from __future__ import annotations

import io
from collections.abc import Sequence

from genloom.music import midi, roll, synth
from genloom.music.events import decode

ROLLS = 32  # pieces in one picture


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
