from __future__ import annotations

import pytest

from genloom.metrics.pictures import heard
from genloom.report import render
from genloom.report.words import measure
from tests.unit.report import made
from tests.unit.report.page import Page

PIECE = heard("Bar Position_0 Pitch_60 Duration_12")


def verdict(pieces: list[dict]) -> dict:
    found = made.verdict("flow")
    found["items"]["kind"] = "text"
    found["pictures"] = {"kind": "music", "samples": pieces, "real": [PIECE]}
    found["copies"]["pairs"] = []
    return found


def test_music_is_seen_and_heard_inside_the_page():
    page = Page(render(verdict([PIECE, PIECE])))
    assert page.wrong == []
    sounds = [attrs for tag, attrs in page.elements if tag == "audio"]
    assert [sound["src"] for sound in sounds] == [PIECE["sound"]] * 3
    assert all("controls" in sound for sound in sounds)
    assert sum(attrs.get("src") == PIECE["roll"] for _, attrs in page.elements) == 3
    rules = [attrs["content"] for tag, attrs in page.elements if "http-equiv" in attrs]
    assert "media-src data:" in rules[0]


@pytest.mark.parametrize("part", ["roll", "sound"])
def test_what_is_no_picture_or_sound_is_left_out(part):
    page = Page(render(verdict([{**PIECE, part: "https://example.org/x"}])))
    assert sum(tag == "audio" for tag, _ in page.elements) == 1
    assert "example.org" not in str(page.elements)


@pytest.mark.parametrize(
    "name",
    [
        *("pitch_w1", "duration_w1", "note_density_w1", "polyphony_w1", "key_clarity_w1"),
        *("pitch_class_overlap", "interval_overlap", "copied_bars"),
    ],
)
def test_measures_of_music_have_plain_words(name):
    words = measure(name)  # what has none is called by its name, and needs features
    assert words.title != words.question and words.plain.endswith(".") and not words.features
