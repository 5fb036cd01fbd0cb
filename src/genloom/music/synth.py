"""A small synthesizer: a score as sound, by sums of sines that fade, and noise for drums.

Additive synthesis (Risset and Mathews, 1969): every partial of a note has its own strength, and
dies away the faster the higher it is. It is for hearing what a model wrote, not for beauty.
"""

from __future__ import annotations

import io
import wave
from typing import NamedTuple

import numpy as np

from genloom.music.notes import Note, Score, Track

RATE = 22_050  # samples a second
MOST_SECONDS = 180.0  # of a sound
RING = 0.25  # seconds that the last notes may fade beyond their end
RELEASE = 0.04  # seconds of the end of a note
TONE = 8.0  # seconds that a note sounds at most: 16 beats at the usual tempo
LOUD = 0.16  # of a note struck as hard as can be, before all are limited


class Timbre(NamedTuple):
    """How an instrument sounds.

    Args:
        partials: Strengths of the multiples of the pitch's frequency.
        fade: How fast the first partial dies away, in 1/seconds; 0 holds it.
        attack: Seconds until it has its full strength.
    """

    partials: tuple[float, ...]
    fade: float
    attack: float


STRUCK = Timbre((1, 0.5, 0.3, 0.18, 0.1, 0.06), 2.5, 0.004)
BELL = Timbre((1, 0.1, 0.4, 0.05, 0.25), 3.5, 0.002)
ORGAN = Timbre((1, 0.6, 0.2, 0.4, 0.05, 0.1, 0.05, 0.15), 0, 0.02)
PLUCKED = Timbre((1, 0.7, 0.45, 0.3, 0.2, 0.12, 0.08), 4, 0.003)
BASS = Timbre((1, 0.6, 0.2, 0.1), 1.8, 0.006)
BOWED = Timbre((1, 0.5, 0.33, 0.25, 0.2, 0.16, 0.14, 0.12), 0.2, 0.08)
SUNG = Timbre((1, 0.45, 0.2, 0.06, 0.08, 0.03), 0.1, 0.06)
BLOWN = Timbre((1, 0.8, 0.6, 0.45, 0.3, 0.2, 0.1), 0.2, 0.03)
REED = Timbre((1, 0.1, 0.6, 0.08, 0.4, 0.06, 0.2), 0.1, 0.03)
FLUTE = Timbre((1, 0.25, 0.06), 0.1, 0.05)
TIMBRES = (  # of every eight programs of General MIDI
    *(STRUCK, BELL, ORGAN, PLUCKED, BASS, BOWED, SUNG, BLOWN),
    *(REED, FLUTE, BLOWN, SUNG, BELL, PLUCKED, BELL, SUNG),
)


def samples(score: Score, *, rate: int = RATE, most: float = MOST_SECONDS) -> np.ndarray:
    """The sound of a score, float32 (N,) within (-1, 1).

    Args:
        score: What is played.
        rate: Samples a second.
        most: Seconds after which it stops.
    """
    length = min(score.seconds(score.end) + RING, most)
    sound = np.zeros(max(1, round(length * rate)), np.float32)
    times = _Times(score)
    for track in score.tracks:
        for note in track.notes:
            start = round(times.of(note.start) * rate)
            if start < len(sound):
                held = times.of(note.start + note.length) - times.of(note.start)
                played = _drum(note, rate) if track.drum else _tone(note, track, held, rate)
                stop = min(start + len(played), len(sound))
                sound[start:stop] += played[: stop - start]
    return np.tanh(sound)  # a soft limiter


class _Times:
    """When steps come; each is asked for several times."""

    def __init__(self, score: Score):
        self.score, self.known = score, dict[int, float]()

    def of(self, step: int) -> float:
        """Seconds."""
        if step not in self.known:
            self.known[step] = self.score.seconds(step)
        return self.known[step]


def _tone(note: Note, track: Track, held: float, rate: int) -> np.ndarray:
    """A note of an instrument, float32."""
    timbre, first = TIMBRES[track.program // 8], 440 * 2 ** ((note.pitch - 69) / 12)
    held = min(held, TONE)
    t = np.arange(round((held + RELEASE) * rate), dtype=np.float32) / rate
    sound = np.zeros_like(t)
    for k, strength in enumerate(timbre.partials, 1):
        if k * first < rate / 2:  # no partial may fold back
            fading = np.exp(-timbre.fade * k**0.5 * t)
            sound += strength * fading * np.sin(2 * np.pi * k * first * t)
    swell = np.minimum(t / timbre.attack, 1) * np.clip((held + RELEASE - t) / RELEASE, 0, 1)
    return LOUD * (note.velocity / 127) ** 1.5 * swell * sound


def _drum(note: Note, rate: int) -> np.ndarray:
    """Noise that dies away, longer and duller for low drums; the bass drum is a falling tone."""
    low = note.pitch in (35, 36, 41, 43, 45)
    fade = 9.0 if low else 16.0 if note.pitch < 42 else 35.0
    t = np.arange(round(4 / fade * rate), dtype=np.float32) / rate
    noise = np.random.default_rng(note.pitch).standard_normal(len(t)).astype(np.float32)
    tone = np.sin(2 * np.pi * (55 * t + 2 * (1 - np.exp(-30 * t))))
    mixed = tone if low else 0.35 * noise if note.pitch < 42 else 0.3 * np.diff(noise, prepend=0)
    return 2 * LOUD * (note.velocity / 127) ** 1.5 * np.exp(-fade * t) * mixed


def wav(score: Score, *, rate: int = RATE, most: float = MOST_SECONDS) -> bytes:
    """The sound as a WAV file: one channel of 16 bits; the rest as `samples`."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples(score, rate=rate, most=most) * 32767).astype("<i2").tobytes())
    return out.getvalue()
