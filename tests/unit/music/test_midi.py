from __future__ import annotations

import io
import random

import mido
import pytest

from genloom.music import midi
from genloom.music.notes import Meter, Note, Score, Tempo, Track, Unreadable
from tests.unit.music.test_events import TRIO


def file_of(*messages, ticks: int = 480, kind: int = 1) -> bytes:
    """A file of one track."""
    return file_with(messages, ticks=ticks, kind=kind)


def file_with(*tracks, ticks: int = 480, kind: int = 1) -> bytes:
    """A file of tracks."""
    file = mido.MidiFile(type=kind, ticks_per_beat=ticks)
    file.tracks += map(mido.MidiTrack, tracks)
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def note(start: int, stop: int, pitch: int = 60, **more):
    return [
        mido.Message("note_on", note=pitch, velocity=79, time=start, **more),
        mido.Message("note_on", note=pitch, velocity=0, time=stop - start, **more),
    ]


def test_a_score_comes_back_as_it_was():
    assert midi.read(midi.write(TRIO)) == (TRIO, [])


def test_the_file_says_tempo_meter_instruments_and_drums():
    file = mido.MidiFile(file=io.BytesIO(midi.write(TRIO)))
    found = [message for track in file.tracks for message in track]
    assert [m.tempo for m in found if m.type == "set_tempo"] == [625_000, 454_545]
    assert [m.numerator for m in found if m.type == "time_signature"] == [3, 6]
    again = [m.type for m in file.tracks[2] if m.type.startswith("note")]
    assert again == ["note_on", "note_off"] * 2  # a key is let go before it is struck again
    said = [(m.channel, m.program) for m in found if m.type == "program_change"]
    assert said == [(0, 24), (1, 24), (9, 0)]
    assert file.length == pytest.approx(TRIO.seconds(TRIO.end), abs=1e-3)


def test_what_lies_between_steps_is_moved_and_counted():
    score, lost = midi.read(file_of(*note(35, 90), *note(30, 80, 62)))
    assert score.tracks[0].notes == (Note(1, 60, 1, 79), Note(3, 62, 1, 79))
    assert lost == ["1 starts and 2 ends of 2 notes lay between two steps"]


def test_a_bar_that_is_cut_short_gets_a_time_signature_of_its_own():
    score, lost = midi.read(
        file_of(
            mido.MetaMessage("time_signature", numerator=4, denominator=4),
            mido.MetaMessage("time_signature", numerator=3, denominator=4, time=480),
            *note(0, 480),
        )
    )
    assert score.meters == (Meter(0, 1, 4), Meter(12, 3, 4)) and lost == []


def test_a_time_signature_that_the_grid_has_not_is_left_out():
    odd = mido.MetaMessage("time_signature", numerator=5, denominator=64)
    score, lost = midi.read(file_of(odd, *note(0, 480)))
    assert score.meters == (Meter(0, 4, 4),)
    assert lost == ["the time signature 5/64 at step 0 was left out"]


def test_a_change_of_instrument_makes_another_track():
    change = mido.Message("program_change", program=7)
    score, _ = midi.read(file_of(*note(0, 480), change, *note(0, 480)))
    assert [track.program for track in score.tracks] == [0, 7]


def test_notes_that_nothing_ends_end_with_the_track_and_are_counted():
    on = mido.Message("note_on", note=60, velocity=79)
    end = mido.MetaMessage("end_of_track", time=960)
    score, lost = midi.read(file_of(on, end))
    assert score.tracks[0].notes == (Note(0, 60, 24, 79),)
    assert lost == ["1 notes without an end sound to that of their track"]


def program(number: int, time: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("program_change", program=number, time=time, channel=channel)


@pytest.mark.parametrize(
    ("tracks", "played"),
    [
        ([[program(73)], note(0, 480)], [73]),  # as files of type 1 often have it
        ([[program(73, 480)], [*note(0, 480), *note(0, 480)]], [0, 73]),
        ([[*note(0, 480), *note(0, 480)], [program(73, 480)]], [0, 73]),
        ([[program(73)], [program(4), *note(0, 480)]], [4]),  # its own one, where both come at once
        ([[program(4), *note(0, 480)], [program(73), *note(0, 480)]], [4, 73]),
        ([[program(73, 240)], [program(4), *note(480, 960)]], [73]),  # the last one
        ([[program(73, channel=1)], note(0, 480)], [0]),
        ([[*note(0, 480), program(73)], note(480, 960)], [0, 73]),
    ],
)
def test_a_channel_plays_on_one_instrument_in_all_tracks(tracks, played):
    score, lost = midi.read(file_with(*tracks))
    assert [track.program for track in score.tracks] == played and lost == []


def test_a_note_may_end_in_another_track():
    on, off = note(0, 480)
    tracks = midi.read(file_with([on], [off]))
    assert tracks == (Score((Track((Note(0, 60, 12, 79),)),)), [])
    both = file_with(note(0, 960), [*note(0, 240), off])  # an end too many; each track has its own
    assert [track.notes[0].length for track in midi.read(both)[0].tracks] == [24, 6]
    before = file_with([*note(480, 960)[:1]], [mido.Message("note_off", note=60, time=240)])
    assert midi.read(before)[1] == ["1 notes without an end sound to that of their track"]


def test_more_instruments_than_channels_are_left_out_and_counted():
    file = mido.MidiFile(type=1)
    file.tracks += [mido.MidiTrack(note(0, 480)) for _ in range(17)]
    out = io.BytesIO()
    file.save(file=out)
    score, lost = midi.read(out.getvalue())
    assert len(score.tracks) == 15 and lost == ["2 of 17 instruments were left out"]
    assert midi.read(midi.write(score))[0] == score


def test_extreme_tempos_are_bounded_and_counted():
    wild = [mido.MetaMessage("set_tempo", tempo=1), *note(0, 480)]
    score, lost = midi.read(file_of(*wild))
    assert score.tempos == (Tempo(0, 400),)
    assert lost == ["1 tempos were not 10 to 400 beats a minute"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"RIFF1234", "corrupt"),
        (b"MThd\0\0\0\x06\0\1\0\1\1\xe0MTrk\0\0\xff\xff", "truncated"),
        (file_of(), "no_text"),
        (file_of(*note(0, 480), kind=2), "unsupported"),
        (file_of(*note(2**27, 2**27 + 9), ticks=1), "too_big"),
        (b"MThd".ljust(2**21 + 1, b"\0"), "too_big"),
    ],
)
def test_damaged_files_say_why(data, code):
    with pytest.raises(Unreadable) as error:
        midi.read(data)
    assert error.value.code == code


def test_spoilt_files_are_read_or_refused():
    draw, sound = random.Random(0), midi.write(TRIO)
    refused = 0
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(draw.randrange(1, 6)):
            data[draw.randrange(14, len(data))] = draw.randrange(256)
        try:
            score, _ = midi.read(bytes(data))
        except Unreadable:
            refused += 1
        else:
            assert midi.read(midi.write(score))[0].tracks == score.tracks
    assert 0 < refused < 300


def test_an_empty_score_is_a_file_too():
    assert mido.MidiFile(file=io.BytesIO(midi.write(Score((Track(()),))))).length == 0
