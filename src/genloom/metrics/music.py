"""Music beside held-out music: what notes, beats and keys are like, and how many bars are copied.

Distances are Wasserstein-1 in the unit of what is measured: how far it would have to move, on
average, to be distributed as in held-out music; overlaps are the shares that two histograms have in
common (Yang and Lerch, On the evaluation of generative models in music, 2018, section 3). A key is
sought by correlation with the profiles of Krumhansl and Kessler, 1982: Krumhansl, 1990, chapter 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genloom.core import Items
from genloom.metrics.estimate import Estimate, enough, jackknife, leave_out, mean_interval
from genloom.metrics.molecules import wasserstein
from genloom.music.events import decode
from genloom.music.notes import LONGEST, STEPS, Note, Score

NEEDED = 30
WIDEST = 24  # semitones of a melodic interval; wider ones count as this
KEPT = 2**15  # pieces whose measures are kept
TRAIN = 10_000  # training pieces that bars are sought in
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
KEYS = np.array([np.roll(profile, key) for profile in (MAJOR, MINOR) for key in range(12)])
HISTOGRAMS = {  # name -> (bins, what a bin is in the unit, the unit)
    "pitch": (128, 1.0, "semitones"),
    "duration": (LONGEST + 1, 1 / STEPS, "beats"),
}
OVERLAPS = {"pitch_class": 12, "interval": 2 * WIDEST + 1}
NUMBERS = {"note_density": "notes/beat", "polyphony": "notes", "key_clarity": ""}
Bars = tuple[int, ...]


class Heard(NamedTuple):
    """What is measured of one piece.

    Args:
        counts: Name -> a histogram of its notes.
        numbers: Name -> a number; of a piece without notes there is none.
        bars: A hash of what is played in each bar, 0 where nothing is.
    """

    counts: dict[str, np.ndarray]
    numbers: dict[str, float]
    bars: Bars


@lru_cache(maxsize=KEPT)
def heard(words: str) -> Heard:
    """What is measured of a piece."""
    score = decode(words)
    pitched = [track.notes for track in score.pitched]
    notes = [note for one in pitched for note in one]
    moves = [
        min(max(b.pitch - a.pitch, -WIDEST), WIDEST) + WIDEST
        for one in pitched
        for a, b in _melody(one)
    ]
    values = {
        "pitch": [note.pitch for note in notes],
        "duration": [note.length for note in notes],
        "pitch_class": [note.pitch % 12 for note in notes],
        "interval": moves,
    }
    bins = {name: about[0] for name, about in HISTOGRAMS.items()} | OVERLAPS
    counts = {name: np.bincount(values[name], minlength=bins[name]) for name in bins}
    numbers = _numbers(notes, score.end) if notes else {}
    return Heard(counts, numbers, _bars(score))


def _melody(notes: Sequence[Note]) -> Iterable[tuple[Note, Note]]:
    """Neighbours among the highest notes of each start."""
    top = {note.start: note for note in notes}  # of those that start together the last is highest
    line = list(top.values())
    return pairwise(line)


def _numbers(notes: Sequence[Note], end: int) -> dict[str, float]:
    sounding = np.zeros(end + 1)
    weights = np.zeros(12)
    for note in notes:
        sounding[note.start] += 1
        sounding[note.start + note.length] -= 1
        weights[note.pitch % 12] += note.length
    together = sounding.cumsum()
    return {
        "note_density": len(notes) * STEPS / end,
        "polyphony": float(together[together > 0].mean()),
        "key_clarity": _clarity(weights),
    }


def _clarity(weights: np.ndarray) -> float:
    """The best correlation of the durations of pitch classes (12,) with a key's profile."""
    if np.ptp(weights) == 0:
        return 0.0
    centred, keys = weights - weights.mean(), KEYS - KEYS.mean(1, keepdims=True)
    lengths = np.linalg.norm(keys, axis=1) * np.linalg.norm(centred)
    return float((keys @ centred / lengths).max())


def _bars(score: Score) -> Bars:
    found = []
    for start, meter in score.bars(score.end):
        stop = start + meter.bar
        played = [
            (note.start - start, note.pitch, note.length, track.drum)
            for track in score.tracks
            for note in track.notes
            if start <= note.start < stop
        ]
        found.append(hash(tuple(sorted(played))) if played else 0)
    return tuple(found)


def compare(x: Tensor, y: Tensor, about: Items, train: Tensor) -> dict[str, Callable[[], Estimate]]:
    """Every measure of pieces (n, L) beside held-out pieces (m, L) and training pieces (N, L)."""
    one, other = _pieces(x, about), _pieces(y, about)
    return {
        **{f"{name}_w1": partial(moved, name, one, other) for name in HISTOGRAMS},
        **{f"{name}_w1": partial(apart, name, one, other) for name in NUMBERS},
        **{f"{name}_overlap": partial(overlap, name, one, other) for name in OVERLAPS},
        "copied_bars": lambda: copied_bars(one, _pieces(train[:TRAIN], about)),
    }


def _pieces(items: Tensor, about: Items) -> list[Heard]:
    return [heard(about.read(row)) for row in items]


def _counts(name: str, pieces: Sequence[Heard]) -> Tensor:
    """A histogram of each piece that has any such notes, float64 (n, bins)."""
    enough(name, len(pieces), NEEDED)
    known = [piece.counts[name] for piece in pieces if piece.counts[name].any()]
    enough(name, len(known), NEEDED, " with notes")
    return torch.tensor(np.stack(known), dtype=torch.float64)


def moved(name: str, x: Sequence[Heard], y: Sequence[Heard]) -> Estimate:
    """How far a value of notes would have to move, all pieces of a side taken together."""
    _, step, unit = HISTOGRAMS[name]

    def distance(a: Tensor, b: Tensor) -> float:
        gap = (_shares(a) - _shares(b)).cumsum(0)
        return float(gap.abs().sum()) * step

    a, b = _counts(name, x), _counts(name, y)
    value = distance(a, b)
    low, high = jackknife(value, leave_out(distance, a, b))
    return Estimate(f"{name}_w1", value, max(0.0, low), high, len(x), "notes", unit=unit)


def overlap(name: str, x: Sequence[Heard], y: Sequence[Heard]) -> Estimate:
    """The share that two histograms of notes have in common, all pieces taken together."""

    def common(a: Tensor, b: Tensor) -> float:
        return float(torch.minimum(_shares(a), _shares(b)).sum())

    a, b = _counts(name, x), _counts(name, y)
    value = common(a, b)
    low, high = jackknife(value, leave_out(common, a, b))
    return Estimate(f"{name}_overlap", value, low, min(1.0, high), len(x), "notes", "higher")


def _shares(counts: Tensor) -> Tensor:
    total = counts.sum(0)
    return total / total.sum()


def apart(name: str, x: Sequence[Heard], y: Sequence[Heard]) -> Estimate:
    """How far a number of pieces would have to move."""
    sides = [torch.tensor([one.numbers[name] for one in some if one.numbers]) for some in (x, y)]
    a, b = (side.double() for side in sides)
    enough(name, min(len(a), len(b)), NEEDED, " with notes")
    value = wasserstein(a, b)
    low, high = jackknife(value, leave_out(wasserstein, a, b))
    unit = NUMBERS[name]
    return Estimate(f"{name}_w1", value, max(0.0, low), high, len(a), "pieces", unit=unit)


def copied_bars(x: Sequence[Heard], train: Sequence[Heard]) -> Estimate:
    """The longest run of bars that a training piece has too, note for note, on average."""
    enough("copied_bars", len(x), NEEDED)
    places: dict[int, list[int]] = {}
    place = 0
    for piece in train:
        for bar in piece.bars:
            if bar:
                places.setdefault(bar, []).append(place)
            place += 1
        place += 1  # runs do not go on in the next piece
    longest = torch.tensor([float(_longest(piece.bars, places)) for piece in x])
    value, low, high = mean_interval(longest)
    id = f"of {len(train)} training pieces"
    return Estimate("copied_bars", value, max(0.0, low), high, len(x), id, "closer", "bars")


def _longest(bars: Bars, places: dict[int, list[int]]) -> int:
    """The longest run of bars that follow each other at some place; silent ones are no copies."""
    best, before = 0, dict[int, int]()
    for bar in bars:
        before = {place: before.get(place - 1, 0) + 1 for place in places.get(bar, ())}
        best = max(best, *before.values(), 0)
    return best
