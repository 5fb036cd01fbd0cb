"""A score as words, such as `Bar Meter_4/4 Position_0 Tempo_96 Track_0 Pitch_60 Duration_12`.

After REMI: Huang and Yang, 2020 (arXiv:2002.00212), section 3. Several tracks, as words that hold
until the next one of their kind: `Track_i` says who plays, `Program_p` or `Drums` after it what on,
`Velocity_k` how hard that track plays. Time signatures are words too; chords are not. Every row of
words is some score: what makes no sense where it stands is skipped.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from genloom.music.notes import (
    FASTEST,
    LONGEST,
    SLOWEST,
    TRACKS,
    USUAL_TEMPO,
    Meter,
    Note,
    Score,
    Tempo,
    Track,
    tidy,
)

FORM = "events"  # in `words.FORMS`
VELOCITIES = 8  # levels, of 16 each
USUAL_VELOCITY = 5  # a level: 79


def level(velocity: int) -> int:
    """The nearest level of a velocity, 1 to VELOCITIES."""
    return min(max(round((velocity + 1) / 16), 1), VELOCITIES)


def velocity(level: int) -> int:
    """What a level stands for: 15, 31, ... 127."""
    return 16 * level - 1


def encode(score: Score) -> str:
    """The words of a score; they keep levels of velocities, and no empty bars at the end."""
    bars = _Bars(score)
    last = max(*bars.tempos, *bars.struck, 0)
    return " ".join(word for bar in score.bars(last + 1) for word in bars.words(*bar))


class _Bars:
    """The words of bars that follow each other, which leave out what still holds."""

    def __init__(self, score: Score):
        self.score = score
        self.struck: dict[int, list[tuple[int, Note]]] = {}
        for i, track in enumerate(score.tracks):
            for note in track.notes:
                self.struck.setdefault(note.start, []).append((i, note))
        self.tempos = dict(score.tempos)
        self.begin()

    def begin(self) -> None:
        """Nothing holds."""
        self.meter: Meter | None = None
        self.playing = -1
        self.levels: dict[int, int] = {}

    def words(self, start: int, meter: Meter) -> list[str]:
        """Of the bar that starts at a step; where nothing holds, its tempo is among them."""
        words = ["Bar"]
        tempos: Mapping[int, int] = self.tempos
        if self.meter is None:
            known = bisect_right(self.score.tempos, start, key=lambda tempo: tempo.start)
            tempos = ChainMap({start: self.score.tempos[known - 1].beats}, tempos)
        if meter is not self.meter:
            words.append(f"Meter_{meter.count}/{meter.unit}")
            self.meter = meter
        for place in range(start, start + meter.bar):
            if place not in tempos and place not in self.struck:
                continue
            words.append(f"Position_{place - start}")
            if place in tempos:
                words.append(f"Tempo_{tempos[place]}")
            for i, note in self.struck.get(place, ()):
                words += self._note(i, note)
        return words

    def _note(self, i: int, note: Note) -> Iterator[str]:
        track = self.score.tracks[i]
        if i != self.playing:
            yield f"Track_{i}"
            self.playing = i
        if i not in self.levels:
            yield "Drums" if track.drum else f"Program_{track.program}"
            self.levels[i] = USUAL_VELOCITY
        if level(note.velocity) != self.levels[i]:
            self.levels[i] = level(note.velocity)
            yield f"Velocity_{self.levels[i]}"
        yield from (f"Pitch_{note.pitch}", f"Duration_{note.length}")


@dataclass
class _Player:
    """What a track has played so far."""

    program: int = 0
    drum: bool = False
    level: int = USUAL_VELOCITY
    notes: list[Note] = field(default_factory=list)


def decode(text: str, *, places: int = 0) -> Score:
    """The score of words, whatever they are.

    Notes before the first bar lie in it, notes before the first track are its; a program counts
    until the track plays, a time signature until its bar does.

    Args:
        text: The words.
        places: So many of the first tracks keep their places, where they have no notes too.
    """
    bar, meter, position, fresh = -1, Meter(0, 4, 4), 0, True
    meters, tempos = [meter], {0: USUAL_TEMPO}
    players: dict[int, _Player] = {}
    playing, pitch = 0, -1
    for word in text.split():
        kind, _, value = word.partition("_")
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else -1
        held, pitch = pitch, -1
        if word == "Bar":
            bar, position, fresh = 0 if bar < 0 else bar + meter.bar, 0, True
            continue
        if kind == "Meter":
            found = _meter(value, max(bar, 0))
            if found and fresh:
                meter = found
                meters = [*(one for one in meters if one.start < meter.start), meter]
            continue
        if kind == "Position" and 0 <= number < meter.bar:
            position = number
        elif kind == "Tempo" and SLOWEST <= number <= FASTEST:
            tempos[max(bar, 0) + position] = number
        elif kind == "Track" and number >= 0:
            playing = number
        elif kind == "Pitch" and 0 <= number < 128:
            pitch = number
        else:
            player = players.setdefault(playing, _Player())
            if kind == "Program" and 0 <= number < 128 and not player.notes:
                player.program, player.drum = number, False
            elif word == "Drums" and not player.notes:
                player.program, player.drum = 0, True
            elif kind == "Velocity" and 1 <= number <= VELOCITIES:
                player.level = number
            elif kind == "Duration" and held >= 0 and number > 0:
                length = min(number, LONGEST)
                start = max(bar, 0) + position
                player.notes.append(Note(start, held, length, velocity(player.level)))
        fresh = False
    for number in range(places):
        players.setdefault(number, _Player())
    return _score(players, tempos, meters, places)


def _meter(value: str, start: int) -> Meter | None:
    """A time signature that the grid has, or None."""
    parts = value.split("/")
    if len(parts) != 2 or not all(p.isascii() and p.isdigit() and len(p) < 4 for p in parts):
        return None
    count, unit = map(int, parts)
    meter = Meter(start, count, unit)
    return meter if unit and meter.bar else None


def _score(
    players: dict[int, _Player], tempos: dict[int, int], meters: Sequence[Meter], places: int
) -> Score:
    """Tracks in the order of their numbers; the first TRACKS with a pitch are kept."""
    tracks, pitched = [], 0
    for number in sorted(players):
        player = players[number]
        pitched += bool(player.notes) and not player.drum
        sounds = bool(player.notes) or number < places
        if sounds and (player.drum or pitched <= TRACKS):
            tracks.append(Track(tidy(player.notes), player.program, player.drum))
    last = max((note.start for track in tracks for note in track.notes), default=0)
    return Score(
        tuple(tracks),
        tuple(Tempo(start, tempos[start]) for start in sorted(tempos) if start <= last),
        tuple(meter for meter in meters if meter.start <= last),
    )


def cut(text: str, most: int) -> list[str]:
    """The same music in parts of at most so many words, each of whole bars and with all it needs.

    A bar that has more words is a part alone.
    """
    if len(text.split()) <= most:
        return [text]
    score = decode(text)
    bars, parts = _Bars(score), list[list[str]]()
    part, rest = list[str](), list[str]()  # up to its last note, and what comes after it
    for bar in score.bars(score.end):
        words, silent = _split(bars.words(*bar))
        if words and (part or rest) and len(part) + len(rest) + len(words) > most:
            parts.append(part)
            bars.begin()
            part, rest = [], []
            words, silent = _split(bars.words(*bar))
        if words:
            part, rest = [*part, *rest, *words], []
        rest += silent
        if len(part) > most:
            parts.append(part)
            bars.begin()
            part, rest = [], []
    return [" ".join(part) for part in [*parts, part] if part]


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of a bar up to its last note, and those after it."""
    sizes = range(len(words), 0, -1)
    size = next((size for size in sizes if words[size - 1].startswith("Duration")), 0)
    return words[:size], words[size:]
