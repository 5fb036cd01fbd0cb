"""A score as a standard MIDI file, and back: notes, instruments, drums, tempo, time signatures.

What a score has no place for (pedals, bends, names, lyrics) is not read. Drums are channel 10, as
General MIDI has it.
"""

from __future__ import annotations

import io
import re
import struct
from collections import defaultdict, deque
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


class _Reading:
    """The events of a file in steps.

    Args:
        file: As mido reads it.
    """

    def __init__(self, file: Any):
        self.file, self.early, self.late = file, 0, 0
        self.tempos: dict[int, int] = {0: USUAL_TEMPO}
        self.meters: dict[int, tuple[int, int]] = {0: (4, 4)}
        self.notes: defaultdict[tuple[int, int, int], list[Note]] = defaultdict(list)
        self.lost: list[str] = []
        for i, track in enumerate(file.tracks):
            self._read(i, track)

    def _step(self, tick: int) -> tuple[int, bool]:
        """The nearest step, and whether it is another place."""
        beat = self.file.ticks_per_beat
        step, rest = divmod(2 * STEPS * tick + beat, 2 * beat)
        if step > MOST_STEPS:
            raise Unreadable("too_big", f"longer than {MOST_STEPS // STEPS} beats")
        return step, rest != beat

    def _read(self, index: int, track: Any) -> None:
        tick, programs = 0, [0] * 16
        sounding: defaultdict[tuple[int, int], deque[tuple[int, int, int]]] = defaultdict(deque)
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                beats = round(MINUTE / max(message.tempo, 1))
                self.tempos[self._step(tick)[0]] = min(max(beats, SLOWEST), FASTEST)
            elif message.type == "time_signature":
                self.meters[self._step(tick)[0]] = message.numerator, message.denominator
            elif message.type == "program_change":
                programs[message.channel] = message.program
            elif message.type == "note_on" and message.velocity:
                held = tick, message.velocity, programs[message.channel]
                sounding[message.channel, message.note].append(held)
            elif message.type in ("note_on", "note_off"):
                struck = sounding[message.channel, message.note]
                if struck:  # the earliest ends first
                    self._add(index, message.channel, message.note, struck.popleft(), tick)
        for (channel, pitch), unclosed in sounding.items():
            for held in unclosed:
                self._add(index, channel, pitch, held, tick)

    def _add(
        self, index: int, channel: int, pitch: int, held: tuple[int, int, int], stop: int
    ) -> None:
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
        last = max(note.start for track in tracks for note in track.notes)
        meters = tuple(self._meters(last))
        tempos = tuple(Tempo(s, self.tempos[s]) for s in sorted(self.tempos) if s <= last)
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
