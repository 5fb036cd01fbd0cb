from __future__ import annotations

from genloom.music.notes import Meter, Note, Score, Tempo, Track, quantized, tidy


def test_a_note_that_is_struck_again_ends_there():
    notes = [Note(6, 60, 12, 9), Note(0, 60, 12, 9), Note(0, 60, 24, 9), Note(0, 61, 90, 9)]
    assert tidy(notes) == (Note(0, 60, 6, 9), Note(0, 61, 90, 9), Note(6, 60, 12, 9))


def test_bars_follow_the_time_signatures():
    score = Score((), meters=(Meter(0, 3, 4), Meter(72, 6, 8), Meter(108, 2, 2)))
    assert [start for start, _ in score.bars(200)] == [0, 36, 72, 108, 156]
    assert [start for start, _ in score.bars(73)] == [0, 36, 72]


def test_a_meter_that_the_grid_has_not_has_no_bar():
    assert [Meter(0, 1, 32).bar, Meter(0, 99, 4).bar, Meter(0, 0, 4).bar] == [0, 0, 0]
    assert Meter(0, 6, 8).bar == 36


def test_time_follows_the_tempos():
    score = Score((Track((Note(0, 60, 48, 9),)),), (Tempo(0, 60), Tempo(24, 120)))
    assert score.seconds(12) == 1.0
    assert score.seconds(48) == 3.0


def test_a_part_keeps_what_holds_at_its_start():
    score = Score(
        (Track((Note(0, 60, 48, 9), Note(50, 62, 4, 9))), Track((Note(96, 40, 4, 9),))),
        (Tempo(0, 60), Tempo(60, 90), Tempo(96, 100)),
        (Meter(0, 4, 4), Meter(48, 2, 4)),
    )
    part = score.part(48, 96)
    assert part.tracks == (Track((Note(2, 62, 4, 9),)), Track(()))
    assert part.tempos == (Tempo(0, 60),) and part.meters == (Meter(0, 2, 4),)
    assert score.part(72, 120).tempos == (Tempo(0, 90), Tempo(24, 100))


def test_what_is_played_comes_to_the_nearest_step():
    played = Score((Track((Note(1, 60, 1, 9), Note(2, 62, 4, 9), Note(3, 62, 5, 9))),))
    (track,) = quantized(played, 3).tracks
    assert track.notes == (Note(0, 60, 3, 9), Note(3, 62, 6, 9))
    assert quantized(played, 1) == Score((Track(tidy(played.tracks[0].notes)),))
