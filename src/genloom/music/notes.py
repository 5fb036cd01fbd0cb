"""A score: tracks of notes on a grid of twelve steps a beat, with tempo and time signatures.

Twelve is the least common multiple of 4 and 3: sixteenth notes take 3 steps, triplets of eighths 4
and of sixteenths 2. What lies between two steps is moved to the nearer one, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple, TypeVar, final

STEPS = 12  # a beat, which is a quarter note
LONGEST = 16 * STEPS  # of a note, and of a bar
SLOWEST, FASTEST = 10, 400  # beats a minute
USUAL_TEMPO = 120
DENOMINATORS = (1, 2, 4, 8, 16)
TRACKS = 15  # with a pitch: a channel of MIDI each; drums have their own


class Unreadable(ValueError):
    """What holds no music that can be read.

    Args:
        code: What is wrong, a key of `data.findings.CODES`.
        reason: One line.
    """

    def __init__(self, code: str, reason: str):
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Note(NamedTuple):
    """One note.

    Args:
        start: Step at which it is struck.
        pitch: As MIDI counts, 0 to 127; 60 is the middle C. Of a drum, which one.
        length: Steps that it sounds, 1 to LONGEST.
        velocity: How hard, 1 to 127.
    """

    start: int
    pitch: int
    length: int
    velocity: int


@final
@dataclass(frozen=True)
class Track:
    """The notes of one player.

    Args:
        notes: In order, see `tidy`.
        program: The instrument, as General MIDI counts from 0.
        drum: Whether it is a drum kit, whose program is 0.
    """

    notes: tuple[Note, ...]
    program: int = 0
    drum: bool = False


class Tempo(NamedTuple):
    """Beats a minute from a step on."""

    start: int
    beats: int


class Meter(NamedTuple):
    """A time signature, such as 3/4, from a step on, which is the start of a bar."""

    start: int
    count: int
    unit: int

    @property
    def bar(self) -> int:
        """Steps of a bar; 0 where the grid has none such."""
        steps, rest = divmod(self.count * 4 * STEPS, self.unit)
        sound = self.unit in DENOMINATORS and not rest and 0 < steps <= LONGEST
        return steps if sound else 0


@final
@dataclass(frozen=True)
class Score:
    """A piece of music.

    Args:
        tracks: At most TRACKS of them are not drums.
        tempos: In order; the first one starts at 0, the others at the last note or before.
        meters: Likewise, each at the end of a bar of the one before.
    """

    tracks: tuple[Track, ...]
    tempos: tuple[Tempo, ...] = (Tempo(0, USUAL_TEMPO),)
    meters: tuple[Meter, ...] = (Meter(0, 4, 4),)

    @property
    def end(self) -> int:
        """The step at which the last note ends."""
        return max((n.start + n.length for t in self.tracks for n in t.notes), default=0)

    @property
    def pitched(self) -> list[Track]:
        """The tracks that are no drums."""
        return [track for track in self.tracks if not track.drum]

    def bars(self, until: int) -> Iterator[tuple[int, Meter]]:
        """Where each bar starts that starts before a step, and its time signature."""
        stops = [meter.start for meter in self.meters[1:]] + [max(until, 0)]
        for meter, stop in zip(self.meters, stops):
            for start in range(meter.start, min(stop, until), meter.bar):
                yield start, meter

    def part(self, start: int, stop: int) -> Score:
        """The notes that are struck in [start, stop), two starts of bars, as a score of its own.

        All tracks stay, so that they keep their places; some may be empty.
        """
        kept = tuple(
            replace(
                track,
                notes=tuple(
                    note._replace(start=note.start - start)
                    for note in track.notes
                    if start <= note.start < stop
                ),
            )
            for track in self.tracks
        )
        last = max((note.start for track in kept for note in track.notes), default=0) + start + 1
        return Score(
            kept,
            tuple(_within(self.tempos, start, last)),
            tuple(_within(self.meters, start, last)),
        )

    def seconds(self, step: int) -> float:
        """When a step comes."""
        total = 0.0
        for tempo, following in pairwise((*self.tempos, Tempo(step, 0))):
            span = min(following.start, step) - tempo.start
            total += max(span, 0) * 60 / (STEPS * tempo.beats)
        return total


Change = TypeVar("Change", Tempo, Meter)


def _within(changes: Sequence[Change], start: int, stop: int) -> Iterator[Change]:
    """What holds at the start of a part, and what changes later in it."""
    before = [change for change in changes if change.start <= start]
    yield before[-1]._replace(start=0)
    for change in changes:
        if start < change.start < stop:
            yield change._replace(start=change.start - start)


def quantized(score: Score, span: int) -> Score:
    """Every note begins at the nearest multiple of `span` steps, and is as long as the nearest."""

    def moved(note: Note) -> Note:
        start, length = ((2 * steps + span) // (2 * span) for steps in (note.start, note.length))
        return note._replace(start=start * span, length=max(length, 1) * span)

    return replace(
        score,
        tracks=tuple(replace(one, notes=tidy(map(moved, one.notes))) for one in score.tracks),
    )


def tidy(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Notes in order of start and pitch, of which one that is struck again ends there.

    Of two that start together with the same pitch the longer one is kept.
    """
    best: dict[tuple[int, int], Note] = {}
    for note in notes:
        key = note.start, note.pitch
        if key not in best or note.length > best[key].length:
            best[key] = note
    found = [best[key] for key in sorted(best)]
    again: dict[int, int] = {}  # pitch -> where it is struck next
    for i in range(len(found) - 1, -1, -1):
        note = found[i]
        room = again.get(note.pitch, note.start + note.length) - note.start
        found[i] = note._replace(length=min(note.length, room))
        again[note.pitch] = note.start
    return tuple(found)
