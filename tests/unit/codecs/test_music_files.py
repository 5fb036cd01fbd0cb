from __future__ import annotations

import io
import json
import wave

import mido
import pytest
import torch
from PIL import Image

from genloom.codecs import Text
from genloom.codecs.text import SHEETS
from genloom.core import Items
from genloom.errors import BadInput
from genloom.lexicon import END
from genloom.metrics.pictures import HEARD_RATE, HEARD_SECONDS, heard
from genloom.music import midi, roll
from genloom.music.events import decode
from genloom.report.reading import is_picture, is_sound
from genloom.serve import media
from genloom.words import Words

WORDS = ("Bar", "Duration_12", "Pitch_60", "Pitch_64", "Position_0", "Position_12")
ITEMS = Items("text", (9,), (), Words(WORDS, "events", marks=(END,)))
ROW = torch.tensor([0, 4, 2, 1, 5, 3, 1, 6, 6])
SAID = "Bar Position_0 Pitch_60 Duration_12 Position_12 Pitch_64 Duration_12"


def test_samples_are_midi_files_with_their_record_beside(tmp_path):
    path = tmp_path / "a.mid"
    Text(ITEMS).write(ROW[None], [path], [{"seed": "3"}])
    assert midi.read(path.read_bytes())[0] == decode(SAID)
    assert json.loads((tmp_path / "a.mid.json").read_text()) == {"seed": "3"}


def test_they_may_be_sound_or_words_and_nothing_else(tmp_path):
    paths = [tmp_path / name for name in ("a.wav", "a.txt")]
    for path in paths:
        Text(ITEMS).write(ROW[None], [path], [{}])
    with wave.open(str(paths[0])) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(1.25, abs=1e-3)
    assert paths[1].read_text() == SAID
    with pytest.raises(BadInput, match=r"\.mid or \.wav"):
        Text(ITEMS).write(ROW[None], [tmp_path / "a.ogg"], [{}])


def test_many_pieces_are_one_picture():
    ending, drawn = SHEETS["music"]
    one, two = (Image.open(io.BytesIO(drawn(texts, None))) for texts in ([SAID], [SAID] * 2))
    assert ending == ".png" and two.width == one.width
    assert two.height == 2 * one.height + roll.GAP
    assert two.crop((0, one.height + roll.GAP, two.width, two.height)).tobytes() == one.tobytes()


def test_a_server_gives_midi_where_nothing_else_is_asked_for():
    assert media.media_type("music", None) == ("mid", "audio/midi")
    data = media.encode(ROW, ITEMS, "mid", {})
    assert mido.MidiFile(file=io.BytesIO(data)).length == pytest.approx(1)
    assert media.encode(ROW, ITEMS, "wav", {})[:4] == b"RIFF"
    assert json.loads(media.encode(ROW, ITEMS, "json", {"a": "b"})) == {
        "text": SAID,
        "record": {"a": "b"},
    }
    assert media.form_of("audio/midi") == "mid" and media.form_of("text/plain; x=y") == "txt"


def test_what_a_verdict_shows_is_a_picture_and_a_short_sound():
    found = heard(" ".join([SAID, *["Bar Position_0 Pitch_60 Duration_12"] * 20]))
    assert is_picture(found["roll"]) and is_sound(found["sound"])
    most = HEARD_RATE * HEARD_SECONDS * 2 + 100
    assert 0.9 * most < len(found["sound"]) * 3 / 4 < 1.01 * most


@pytest.mark.parametrize(
    "uri",
    ["data:audio/wav;base64,UklGR<x", "data:audio/wav;base64,AAAA", "http://x/UklGR", "UklGR"],
)
def test_no_other_address_is_a_sound(uri):
    assert not is_sound(uri)
