"""Outputs are read back as items, whatever form their files have."""

import json

import pytest

from genloom.core import Items
from genloom.lexicon import Letters
from genloom.music.events import FORM
from genloom.music.files import to_midi, to_wav
from genloom.serve.problems import Problem
from genloom.serve.routes.embeddings import _document
from genloom.words import Words

SAID = "Bar Meter_4/4 Position_0 Tempo_120 Track_0 Program_0 Pitch_60 Duration_12"
WORDS = Items("text", (10,), lexicon=Words(tuple(SAID.split()), FORM, marks=("end",)))
ROW = [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (to_midi(SAID), "audio/midi"),
        (to_midi(SAID.replace("Duration_12", "Duration_11")), "audio/midi"),
        (SAID.encode(), "text/plain; charset=utf-8"),
        (json.dumps({"text": SAID}).encode(), "application/json"),
        (SAID.encode() + b"\n", "chemical/x-daylight-smiles"),
    ],
)
def test_the_words_of_a_file_are_read_from_it(content, media_type):
    assert _document(content, media_type, WORDS).tolist() == ROW


@pytest.mark.parametrize("content", [b"", b"MThd nothing", to_midi("")])
def test_what_holds_no_music_is_refused(content):
    with pytest.raises(Problem, match="no music that can be read"):
        _document(content, "audio/midi", WORDS)


def test_a_track_that_the_model_has_not_is_refused():
    said = f"{SAID} Track_1 Program_0 Pitch_60 Duration_12"
    with pytest.raises(Problem, match="without 'Track_1'"):
        _document(to_midi(said), "audio/midi", WORDS)


def test_music_is_no_text():
    lines = Items("text", (10,), lexicon=Letters("ab", marks=("end",)))
    with pytest.raises(Problem, match=r"^the output is music, and the model reads text\.$"):
        _document(to_midi(SAID), "audio/midi", lines)


def test_a_sound_says_no_words():
    with pytest.raises(Problem, match="audio/wav says no text"):
        _document(to_wav(SAID), "audio/wav", WORDS)
