from __future__ import annotations

import random
from itertools import islice

import pytest

from genloom.music import events, midi, roll, synth
from genloom.music.events import cut, decode, encode, level, velocity
from genloom.music.notes import LONGEST, TRACKS, Meter, Note, Score, Tempo, Track

TRIO = Score(
    (
        Track((Note(0, 60, 12, 79), Note(0, 64, 4, 79), Note(40, 60, 96, 111)), 24),
        Track((Note(4, 67, 4, 79), Note(8, 67, 4, 79)), 24),
        Track((Note(0, 36, 3, 127), Note(36, 38, 3, 15)), 0, drum=True),
    ),
    (Tempo(0, 96), Tempo(36, 132)),
    (Meter(0, 3, 4), Meter(36, 6, 8)),
)
VOCABULARY = [
    *("Bar", "Drums", "Pitch", "Bar_1", "Meter_4/4", "Meter_0/4", "Meter_4/0", "Meter_99/4"),
    *("Meter_4", "Meter_3/8", "Meter_a/b", "Meter_7/16", "Tempo_0", "Tempo_400", "Tempo_99999"),
    *("Track_0", "Track_3", "Track_99", "Track_-1", "Pitch_\u0663", "Pitch_128", "Duration_0"),
    *(f"Track_{i}" for i in range(20)),
    *(f"Position_{i}" for i in range(0, 60, 3)),
    *(f"Pitch_{i}" for i in range(0, 128, 2)),
    *(f"Duration_{i}" for i in (1, 3, 6, 12, 24, 500, 10**9)),
    *("Program_0", "Program_127", "Program_128", "Velocity_0", "Velocity_8", "Velocity_9", "", "_"),
]


def streams(count: int, length: int):
    """Random words; every second stream keeps pitch and duration together."""
    draw = random.Random(0)
    for i in range(count):
        words = draw.choices(VOCABULARY, k=draw.randrange(length))
        if i % 2:
            words = [f"{w} Duration_6" if w.startswith("Pitch") else w for w in words]
        yield " ".join(words)


def test_what_is_on_the_grid_comes_back_exactly():
    assert decode(encode(TRIO)) == TRIO


def test_the_words_of_a_score():
    first = Score((Track((Note(12, 60, 6, 111), Note(12, 64, 6, 111)), 40),), (Tempo(0, 90),))
    assert encode(first) == (
        "Bar Meter_4/4 Position_0 Tempo_90 Position_12 Track_0 Program_40 Velocity_7 "
        "Pitch_60 Duration_6 Pitch_64 Duration_6"
    )


@pytest.mark.parametrize("group", range(4))
def test_any_row_of_words_is_music_that_can_be_written_read_and_heard(group):
    notes = 0
    for text in islice(streams(1000, 60), 250 * group, 250 * (group + 1)):
        score = decode(text)
        assert decode(encode(score)) == score
        notes += sum(len(track.notes) for track in score.tracks)
        assert len(synth.samples(score, rate=2000, most=1.0)) <= 2000
        written = midi.write(score)
        if score.tracks:
            assert midi.read(written) == (score, [])
        assert sum(not track.drum for track in score.tracks) <= TRACKS
    assert notes > 500  # of which most are no nonsense


def test_random_scores_can_be_drawn():
    assert all(roll.picture(decode(text), most=96).width <= 193 for text in streams(60, 60))


def test_what_makes_no_sense_is_skipped():
    text = "Pitch_60 Bar Duration_3 Position_99 Position_6 Meter_3/4 Pitch_61 Pitch_62 Duration_999"
    assert decode(text).tracks == (Track((Note(6, 62, LONGEST, 79),)),)
    assert decode(text).meters == (Meter(0, 4, 4),)  # it came too late in its bar


def test_the_instrument_counts_until_it_plays():
    late = decode("Bar Drums Program_5 Pitch_60 Duration_3 Program_9 Drums")
    assert late.tracks == (Track((Note(0, 60, 3, 79),), 5),)


@pytest.mark.parametrize("k", range(1, 9))
def test_levels_stand_for_velocities_and_back(k):
    assert level(velocity(k)) == k


def test_a_long_piece_is_cut_at_bars_into_the_same_music():
    notes = [Note(12 * i, 50 + i % 20, 12, 79 if i % 40 < 20 else 111) for i in range(160)]
    whole = Score(
        (Track((Note(0, 30, 12, 79),)), Track(tuple(notes), 3)), (Tempo(0, 96), Tempo(480, 140))
    )
    parts = cut(encode(whole), 60)
    assert len(parts) > 4 and all(40 < len(part.split()) <= 60 for part in parts[:-1])
    start, found = 0, []
    for part in parts:
        score = decode(part)
        assert score.tempos[0].beats == (96 if start < 480 else 140)
        found += [n._replace(start=n.start + start) for n in score.tracks[-1].notes]
        start += 48 * part.split().count("Bar")
    assert found == notes
    assert set(" ".join(parts).split()) <= set(encode(whole).split())
    assert cut(encode(whole), 10**6) == [encode(whole)]


def test_a_cut_looks_at_each_bar_twice_at_most(monkeypatch):
    bars, whole = [], events._Bars.words
    text = encode(Score((Track(tuple(Note(12 * i, 60, 12, 79) for i in range(800))),)))
    monkeypatch.setattr(
        events._Bars, "words", lambda self, *bar: bars.append(bar) or whole(self, *bar)
    )
    assert len(cut(text, 60)) > 40 and len(bars) <= 2 * text.split().count("Bar")


def test_a_bar_that_is_too_long_is_a_part_alone():
    full = Score((Track(tuple(Note(i, 60, 1, 79) for i in range(96))),))
    assert len(cut(encode(full), 20)) == 2


def test_tracks_may_keep_their_places():
    words = "Track_1 Pitch_60 Duration_6 Track_5 Pitch_62 Duration_6"
    one, five = (Track((Note(0, pitch, 6, 79),)) for pitch in (60, 62))
    assert decode(words).tracks == (one, five)
    assert decode(words, places=3).tracks == (Track(()), one, Track(()), five)
