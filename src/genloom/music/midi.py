"""A score as a standard MIDI file, and back: notes, instruments, drums, tempo, time signatures.

What a score has no place for (pedals, bends, names, lyrics) is not read. Drums are channel 10, as
General MIDI has it.
"""

from __future__ import annotations

import io
import re
import struct
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from genloom.errors import need
from genloom.music.notes import (
    DENOMINATORS,
    FASTEST,
    LONGEST,
    SLOWEST,
    STEPS,
    TRACKS,
    USUAL_TEMPO,
    Meter,
    Note,
    Score,
    Tempo,
    Track,
    Unreadable,
    tidy,
)

TICKS = 40  # a step, in the files that are written
DRUMS = 9  # their channel, counted from 0
CHANNELS = [channel for channel in range(16) if channel != DRUMS]
MOST_BYTES = 2**21
MOST_STEPS = 2**20
ENDLESS = re.compile(rb"[\x80-\xff]{4097}")
BROKEN = (OSError, ValueError, LookupError, TypeError, OverflowError, struct.error)
MINUTE = 60_000_000  # microseconds
Held = tuple[int, int, int]  # tick, velocity and program of a note that sounds


def _mido() -> Any:
    try:
        import mido
    except ImportError as error:
        raise need("mido", "music", "MIDI") from error
    return mido


def write(score: Score) -> bytes:
    """A file of type 1: a track of tempo and time signatures, then one for each that has notes."""
    mido = _mido()
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS * STEPS, charset="utf-8")
    changes = [
        (tempo.start, 0, mido.MetaMessage("set_tempo", tempo=round(MINUTE / tempo.beats)))
        for tempo in score.tempos
    ]
    changes += [
        (m.start, 1, mido.MetaMessage("time_signature", numerator=m.count, denominator=m.unit))
        for m in score.meters
    ]
    file.tracks.append(_track(changes))
    channels = iter(CHANNELS)
    for track in score.tracks:
        if not track.notes:
            continue
        channel = DRUMS if track.drum else next(channels)
        say = {"channel": channel}
        events = [(0, 0, mido.Message("program_change", program=track.program, **say))]
        for n in track.notes:
            on = mido.Message("note_on", note=n.pitch, velocity=n.velocity, **say)
            off = mido.Message("note_off", note=n.pitch, **say)
            events += [(n.start, 2, on), (n.start + n.length, 1, off)]
        file.tracks.append(_track(events))
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def _track(events: list[tuple[int, int, Any]]) -> Any:
    """Messages at their steps; of those at one step the lower rank comes first."""
    track, now = _mido().MidiTrack(), 0
    for step, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=(step - now) * TICKS))
        now = step
    return track


def read(data: bytes) -> tuple[Score, list[str]]:
    """The score of a file, and what it lost on the way.

    Raises:
        Unreadable: It is no such file, cut short, too long, or without notes.
    """
    mido = _mido()
    if len(data) > MOST_BYTES:
        raise Unreadable("too_big", f"{len(data)} bytes, at most {MOST_BYTES}")
    if not data:
        raise Unreadable("empty", "the file has no bytes")
    if data[:4] != b"MThd":
        raise Unreadable("corrupt", f"MIDI starts with MThd, not {data[:4]!r}")
    if ENDLESS.search(data):  # reading a number of n bytes takes n^2 steps
        raise Unreadable("corrupt", "a number or a text of thousands of bytes")
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except EOFError:
        raise Unreadable("truncated", f"after {len(data)} bytes") from None
    except (*BROKEN, mido.KeySignatureError) as error:
        raise Unreadable("corrupt", " ".join(str(error).split())[:120]) from None
    if file.type == 2 or file.ticks_per_beat <= 0:
        raise Unreadable("unsupported", "loose patterns, or time that is not in beats")
    return _Reading(file).score()


def _at_ticks(track: Any) -> list[tuple[int, Any]]:
    """The messages of a track, each with its tick."""
    return list(zip(accumulate(message.time for message in track), track))


class _Reading:
    """The events of a file in steps.

    Tracks play at once, and what a channel plays on is the same for all of them: a change of its
    program counts in every track, and where a note has no end in its own track, one in another is.

    Args:
        file: As mido reads it.
    """

    def __init__(self, file: Any):
        self.file, self.early, self.late, self.endless = file, 0, 0, 0
        self.tempos: dict[int, int] = {0: USUAL_TEMPO}
        self.meters: dict[int, tuple[int, int]] = {0: (4, 4)}
        self.notes: defaultdict[tuple[int, int, int], list[Note]] = defaultdict(list)
        self.lost: list[str] = []
        self.programs: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
        self.ends: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self.unclosed: list[tuple[int, int, int, Held, int]] = []
        tracks = [_at_ticks(track) for track in file.tracks]
        for i, track in enumerate(tracks):
            for tick, message in track:
                if message.type == "program_change":
                    self.programs[message.channel].append((tick, i, message.program))
        for changes in self.programs.values():
            changes.sort(key=lambda change: change[0])
        for i, track in enumerate(tracks):
            self._read(i, track)
        self._close()

    def _step(self, tick: int) -> tuple[int, bool]:
        """The nearest step, and whether it is another place."""
        beat = self.file.ticks_per_beat
        step, rest = divmod(2 * STEPS * tick + beat, 2 * beat)
        if step > MOST_STEPS:
            raise Unreadable("too_big", f"longer than {MOST_STEPS // STEPS} beats")
        return step, rest != beat

    def _read(self, index: int, track: Sequence[tuple[int, Any]]) -> None:
        own: dict[int, tuple[int, int]] = {}  # channel -> since when it has which program
        sounding: defaultdict[tuple[int, int], deque[Held]] = defaultdict(deque)
        for tick, message in track:
            if message.type == "set_tempo":
                self.tempos[self._step(tick)[0]] = round(MINUTE / max(message.tempo, 1))
            elif message.type == "time_signature":
                self.meters[self._step(tick)[0]] = message.numerator, message.denominator
            elif message.type == "program_change":
                own[message.channel] = tick, message.program
            elif message.type == "note_on" and message.velocity:
                program = self._program(index, message.channel, tick, own)
                sounding[message.channel, message.note].append((tick, message.velocity, program))
            elif message.type in ("note_on", "note_off"):
                struck = sounding[message.channel, message.note]
                if struck:  # the earliest ends first
                    self._add(index, message.channel, message.note, struck.popleft(), tick)
                else:
                    self.ends[message.channel, message.note].append(tick)
        last = track[-1][0] if track else 0
        for (channel, pitch), unclosed in sounding.items():
            self.unclosed += [(index, channel, pitch, held, last) for held in unclosed]

    def _program(
        self, index: int, channel: int, tick: int, own: Mapping[int, tuple[int, int]]
    ) -> int:
        """That of a channel, as its last change says; of two at one tick that of the own track."""
        since, program = own.get(channel, (-1, 0))
        changes = self.programs[channel]
        known = bisect_right(changes, tick, key=lambda change: change[0])
        when, where, other = changes[known - 1] if known else (-1, index, 0)
        return other if where != index and when > since else program

    def _close(self) -> None:
        """End what sounds at the end of its track: where another track ends it, else there."""
        for ends in self.ends.values():
            ends.sort()
        for index, channel, pitch, held, last in self.unclosed:
            ends = self.ends[channel, pitch]
            known = bisect_right(ends, held[0])
            self.endless += known == len(ends)
            self._add(index, channel, pitch, held, ends[known] if known < len(ends) else last)

    def _add(self, index: int, channel: int, pitch: int, held: Held, stop: int) -> None:
        """A note, of the file's track, channel and program, from where it was held to a tick."""
        (start, moved), (end, stretched) = self._step(held[0]), self._step(stop)
        self.early, self.late = self.early + moved, self.late + stretched
        length = min(max(end - start, 1), LONGEST)
        self.notes[index, channel, held[2]].append(Note(start, pitch, length, held[1]))

    def score(self) -> tuple[Score, list[str]]:
        """The score, and what was lost."""
        tracks, pitched = [], 0
        for (_, channel, program), notes in sorted(self.notes.items()):
            drum = channel == DRUMS
            pitched += not drum
            if drum or pitched <= TRACKS:
                tracks.append(Track(tidy(notes), 0 if drum else program, drum))
        if not tracks:
            raise Unreadable("no_text", "no notes")
        if pitched > TRACKS:
            self.lost.append(f"{pitched - TRACKS} of {pitched} instruments were left out")
        if self.early or self.late:
            self.lost.append(
                f"{self.early} starts and {self.late} ends of {sum(map(len, self.notes.values()))} "
                "notes lay between two steps"
            )
        if self.endless:
            self.lost.append(f"{self.endless} notes without an end sound to that of their track")
        last = max(note.start for track in tracks for note in track.notes)
        meters = tuple(self._meters(last))
        said = [Tempo(s, self.tempos[s]) for s in sorted(self.tempos) if s <= last]
        tempos = tuple(Tempo(s, min(max(beats, SLOWEST), FASTEST)) for s, beats in said)
        if strange := sum(one != other for one, other in zip(said, tempos, strict=True)):
            self.lost.append(f"{strange} tempos were not {SLOWEST} to {FASTEST} beats a minute")
        return Score(tuple(tracks), tempos, meters), self.lost

    def _meters(self, last: int) -> list[Meter]:
        """Time signatures as far as the last note; a bar that one cuts short gets its own."""
        before = Meter(0, 4, 4)
        found = {0: before}
        for start in sorted(start for start in self.meters if start <= last):
            meter = Meter(start, *self.meters[start])
            rest = (start - before.start) % before.bar
            short = _short(start - rest, rest) if rest else before
            if not meter.bar or short is None:
                place = f"{meter.count}/{meter.unit} at step {start}"
                self.lost.append(f"the time signature {place} was left out")
                continue
            if rest:
                found[short.start] = short
            found[start] = before = meter
        return list(found.values())


def _short(start: int, steps: int) -> Meter | None:
    """A bar of so many steps, in the largest unit that fits; None where none does."""
    for unit in DENOMINATORS[2:]:
        if steps * unit % (4 * STEPS) == 0:
            return Meter(start, steps * unit // (4 * STEPS), unit)
    return None
