from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from genloom.music import roll, synth
from genloom.music.notes import Note, Score, Tempo, Track


def tone(pitch: int, program: int = 0, *, drum: bool = False, velocity: int = 127) -> Score:
    return Score((Track((Note(0, pitch, 24, velocity),), program, drum),))


@pytest.mark.parametrize("program", [0, 19, 40, 73])
def test_a_note_has_its_pitch(program):
    sound = synth.samples(tone(69, program), rate=8000)
    found = np.fft.rfftfreq(len(sound), 1 / 8000)[np.abs(np.fft.rfft(sound)).argmax()]
    assert found == pytest.approx(440, abs=2)


def test_no_partial_folds_back():
    sound = synth.samples(tone(105, 19), rate=8000)  # 3,520 Hz: its second partial is too high
    strength = np.abs(np.fft.rfft(sound))
    low = np.fft.rfftfreq(len(sound), 1 / 8000) < 3000
    assert strength[low].max() < 0.01 * strength.max()


def test_it_lasts_as_long_as_the_score_and_is_cut():
    score = Score(tone(60).tracks, (Tempo(0, 60),))
    assert len(synth.samples(score, rate=4000)) == 4000 * 2.25
    assert len(synth.samples(score, rate=4000, most=0.5)) == 2000


def test_a_note_does_not_sound_for_ever():
    score = Score((Track((Note(0, 60, 192, 127),), 19),), (Tempo(0, 10),))
    sound = synth.samples(score, rate=2000)
    end = round(synth.TONE * 2000)
    assert np.abs(sound[end - 500 : end]).max() > 0.05 and not sound[end + 100 :].any()


def test_harder_is_louder_and_all_together_stay_within_bounds():
    loud, soft = (np.abs(synth.samples(tone(60, velocity=v), rate=8000)).max() for v in (127, 31))
    assert loud > 4 * soft
    crowd = Score(tuple(Track((Note(0, 40 + i, 24, 127),)) for i in range(15)))
    assert 0.5 < np.abs(synth.samples(crowd, rate=8000)).max() < 1


@pytest.mark.parametrize("pitch", [36, 38, 42])
def test_drums_sound_and_are_always_the_same(pitch):
    first, again = (synth.samples(tone(pitch, drum=True), rate=8000) for _ in range(2))
    assert np.abs(first).max() > 0.05 and np.array_equal(first, again)
    assert np.abs(first[-800:]).max() < 0.05


def test_the_wave_file_is_one_channel_of_16_bits():
    with wave.open(io.BytesIO(synth.wav(tone(60), rate=8000))) as file:
        assert file.getparams()[:4] == (1, 2, 8000, 8000 * 1.25)


def test_the_roll_shows_each_note_at_its_place():
    image = roll.picture(Score((Track((Note(12, 60, 6, 79),)), Track((Note(24, 64, 6, 79),)))))
    high = 64 + roll.MARGIN
    at = roll.COLUMN * 13, roll.ROW * (high - 60) + 1
    assert image.getpixel(at) == roll.INKS[0]
    assert image.getpixel((roll.COLUMN * 25, roll.ROW * (high - 64) + 1)) == roll.INKS[1]
    assert image.getpixel((roll.COLUMN * 11, at[1])) == roll.PAPER
    assert image.getpixel((roll.COLUMN * 19, at[1])) == roll.PAPER
