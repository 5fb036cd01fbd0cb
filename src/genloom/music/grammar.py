"""Which word may come next in a score, so that `music.events.decode` uses every one of them.

A score is bars; a bar is an optional time signature and positions, each later than the one before;
at a position come a tempo and notes. A note is the track that plays it and what on, where these are
new, how hard, its pitch and its length. So much is an automaton over the kinds of words. What is
not, is kept beside it: the length of the bar, the position, and which tracks have played what.
A prompt may be any words: it is read as `decode` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, final

import torch
from torch import Tensor

from genloom.decoding.constraints import Automaton, too_short
from genloom.errors import BadInput
from genloom.music.events import VELOCITIES, decode
from genloom.music.notes import FASTEST, SLOWEST, TRACKS, Meter


class Kind(IntEnum):
    """What a word does; those that `decode` always skips do nothing."""

    NOTHING = 0
    BAR = 1
    METER = 2
    POSITION = 3
    TEMPO = 4
    TRACK = 5
    PROGRAM = 6
    VELOCITY = 7
    PITCH = 8
    DURATION = 9


_SOUND = (Kind.TRACK, Kind.VELOCITY, Kind.PITCH)
FOLLOWING: dict[Kind, tuple[Kind, ...]] = {
    Kind.NOTHING: (Kind.BAR,),  # the beginning
    Kind.BAR: (Kind.BAR, Kind.METER, Kind.POSITION),
    Kind.METER: (Kind.BAR, Kind.POSITION),
    Kind.POSITION: (Kind.TEMPO, *_SOUND),
    Kind.TEMPO: (Kind.BAR, Kind.POSITION, *_SOUND),
    Kind.TRACK: (Kind.PROGRAM, Kind.VELOCITY, Kind.PITCH),
    Kind.PROGRAM: (Kind.VELOCITY, Kind.PITCH),
    Kind.VELOCITY: (Kind.PITCH,),
    Kind.PITCH: (Kind.DURATION,),
    Kind.DURATION: (Kind.BAR, Kind.POSITION, *_SOUND),
}
ENDS = (Kind.BAR, Kind.DURATION)
_INTERRUPTED = {Kind.PITCH: Kind.VELOCITY, Kind.BAR: Kind.METER}  # what a skipped word leaves
_RANGES = {
    "Position": (Kind.POSITION, 0, 99999),
    "Tempo": (Kind.TEMPO, SLOWEST, FASTEST),
    "Track": (Kind.TRACK, 0, 99999),
    "Program": (Kind.PROGRAM, 0, 127),
    "Velocity": (Kind.VELOCITY, 1, VELOCITIES),
    "Pitch": (Kind.PITCH, 0, 127),
    "Duration": (Kind.DURATION, 1, 99999),
}
DRUMS = -1  # the value of a program


class State(NamedTuple):
    """Where a score is.

    Args:
        kind: Of its last word.
        fresh: Whether a time signature counts.
        start: The step at which the bar starts; -1 before the first one.
        bar: Steps of the bar.
        position: In it; -1 before the first one.
        playing: The track that plays; -1: nobody has said so, which is track 0.
        drum: Whether it has no notes yet, and was said to play drums.
        pitch: Of the last word.
        struck: (step, track, pitch) of the notes of this bar, each of which is struck once.
        played: Tracks that have notes.
        pitched: Those of them that are no drums.
    """

    kind: Kind = Kind.NOTHING
    fresh: bool = True
    start: int = -1
    bar: int = Meter(0, 4, 4).bar
    position: int = -1
    playing: int = -1
    drum: bool = False
    pitch: int = -1
    struck: frozenset[tuple[int, int, int]] = frozenset()
    played: frozenset[int] = frozenset()
    pitched: frozenset[int] = frozenset()

    @property
    def now(self) -> int:
        """The step at which notes are struck."""
        return max(self.start, 0) + max(self.position, 0)

    @property
    def track(self) -> int:
        """The track that plays."""
        return max(self.playing, 0)

    @property
    def kept(self) -> frozenset[int]:
        """Those that have notes and that `decode` keeps."""
        return self.played.difference(sorted(self.pitched)[TRACKS:])

    @property
    def heard(self) -> bool:
        """Whether another note of the track that plays would be kept."""
        new = self.track not in self.played
        return self.track in self.kept or (new and (self.drum or len(self.pitched) < TRACKS))


@final
class Events:
    """A `Constraint` of the words of scores; exact.

    A text ends after a note or an empty bar. A track says what it plays on before its first note
    only, and while TRACKS tracks without drums play, no new one begins: of more, `decode` keeps so
    many. Time signatures and tempos behind the last note have nothing to hold for.

    Args:
        words: Of the lexicon, V.
    """

    def __init__(self, words: Sequence[str]):
        read = [_read(word) for word in words]
        self.kinds = torch.tensor([kind for kind, _ in read], dtype=torch.long)  # (V,)
        self.values = torch.tensor([value for _, value in read], dtype=torch.long)  # (V,)
        self.pitches = int(self.values[self.kinds == Kind.PITCH].unique().numel())
        table = torch.full((len(Kind), len(Kind)), -1)
        present = set(self.kinds.tolist())
        for kind, others in FOLLOWING.items():
            for other in present.intersection(others):
                table[kind, other] = other
        self.skeleton = Automaton(table, torch.tensor([kind in ENDS for kind in Kind]))

    def start(self, left: int, given: Sequence[int] = ()) -> State:
        """See `Constraint`; of given words, those that make no sense are skipped as in `decode`.

        Where they have begun a note that cannot be, such as one of a track that is not kept, its
        words make no sense either, and the score goes on as after a tempo.
        """
        state = State()
        for token in given:
            state = self._after(state, token)
        if self.skeleton.least[state.kind] > left:
            raise BadInput(too_short(left))
        if not self.complete(state) and not self.allowed(state, left).any():
            state = state._replace(kind=Kind.TEMPO)
        return state

    def allowed(self, state: State, left: int) -> Tensor:
        """See `Constraint`."""
        found = self.skeleton.allowed(state.kind, left)[self.kinds]
        if not state.heard:  # at a new position another track must be named
            found &= self.skeleton.allowed(state.kind, left - 1)[self.kinds] | (
                self.kinds != Kind.POSITION
            )
        for kind in FOLLOWING[state.kind]:
            if (values := self._values(kind, state)) is not None:
                found &= (self.kinds != kind) | values
        return found

    def advance(self, state: State, token: int, left: int) -> State | None:
        """See `Constraint`."""
        return self._after(state, token)

    def nearest(self, state: State) -> int | None:
        """See `Constraint`."""
        if self.complete(state):
            return None
        need = self.skeleton.need[state.kind][self.kinds]
        return int(need.masked_fill(~self.allowed(state, len(Kind)), torch.inf).argmin())

    def complete(self, state: State) -> bool:
        """See `Constraint`."""
        return self.skeleton.complete(state.kind)

    def _values(self, kind: Kind, state: State) -> Tensor | None:
        """Which values the next word may have if it is of a kind, bool (V,) or (); None: any."""
        if kind is Kind.POSITION:
            steps = (step - max(state.start, 0) for step, _, _ in state.struck)
            last = max((state.position, *steps))  # a prompt may have gone back
            return (self.values > last) & (self.values < state.bar)
        if kind is Kind.TRACK:
            return self._tracks(state)
        if kind is Kind.PROGRAM:
            return torch.tensor(state.track not in state.played and state.heard)
        if kind is Kind.VELOCITY:
            return torch.tensor(state.heard and not self._silent(state, state.track))
        if kind is Kind.PITCH:
            struck = [pitch for *place, pitch in state.struck if place == [state.now, state.track]]
            return ~self._among(struck) & state.heard
        if kind is Kind.DURATION:
            again = (state.now, state.track, state.pitch) in state.struck
            return torch.tensor(state.heard and not again)
        return None

    def _tracks(self, state: State) -> Tensor:
        """Which values are tracks that another note may be of, bool (V,)."""
        struck = {track for step, track, _ in state.struck if step == state.now}
        ruled = [track for track in struck if self._silent(state, track)]
        found = ~self._among([state.playing, *ruled])
        return found & self._among(sorted(state.kept)) if len(state.pitched) >= TRACKS else found

    def _among(self, values: Sequence[int]) -> Tensor:
        return torch.isin(self.values, torch.tensor(values, dtype=torch.long))

    def _silent(self, state: State, track: int) -> bool:
        """Whether a track strikes every pitch that there is at this position."""
        return sum(one[:2] == (state.now, track) for one in state.struck) >= self.pitches

    def _after(self, state: State, token: int) -> State:
        """The state after any token, as `decode` reads it."""
        mark = token >= len(self.kinds)
        kind = Kind.NOTHING if mark else Kind(int(self.kinds[token]))
        value = 0 if mark else int(self.values[token])
        if not _makes_sense(state, kind, value):
            return state._replace(kind=_INTERRUPTED.get(state.kind, state.kind), fresh=False)
        found = state._replace(kind=kind, fresh=kind in (Kind.BAR, Kind.METER))
        if kind is Kind.BAR:
            start = 0 if state.start < 0 else state.start + state.bar
            struck = frozenset(one for one in state.struck if one[0] >= start)
            return found._replace(start=start, position=-1, struck=struck)
        if kind is Kind.METER:
            return found._replace(bar=value)
        if kind is Kind.POSITION:
            return found._replace(position=value)
        if kind is Kind.TRACK:
            return found._replace(playing=value, drum=False)
        if kind is Kind.PROGRAM:
            return found._replace(drum=value == DRUMS and state.track not in state.played)
        if kind is Kind.PITCH:
            return found._replace(pitch=value)
        if kind is not Kind.DURATION:
            return found
        new = not state.drum and state.track not in state.played
        return found._replace(
            drum=False,
            struck=state.struck | {(state.now, state.track, state.pitch)},
            played=state.played | {state.track},
            pitched=state.pitched | {state.track} if new else state.pitched,
        )


def _makes_sense(state: State, kind: Kind, value: int) -> bool:
    """Whether `decode` uses a word, wherever it stands; not whether it should stand there."""
    if kind is Kind.METER:
        return state.fresh
    if kind is Kind.POSITION:
        return value < state.bar
    if kind is Kind.DURATION:
        return state.kind is Kind.PITCH
    return kind is not Kind.NOTHING


def _read(word: str) -> tuple[Kind, int]:
    """What a word does, and its value: of a time signature the steps of a bar."""
    if word == "Bar":
        return Kind.BAR, 0
    if word == "Drums":
        return Kind.PROGRAM, DRUMS
    name, _, value = word.partition("_")
    if name == "Meter":
        (meter,) = decode(f"Bar {word}").meters
        used = value == f"{meter.count}/{meter.unit}"
        return (Kind.METER, meter.bar) if used else (Kind.NOTHING, 0)
    kind, low, high = _RANGES.get(name, (Kind.NOTHING, 0, -1))
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else -1
    return (kind, number) if low <= number <= high else (Kind.NOTHING, 0)
