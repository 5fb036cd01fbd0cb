"""Music in the studio: begun with a MIDI file, shown as a piano roll, played."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from genloom.artifact import save
from genloom.music import midi
from genloom.music.events import decode
from genloom.music.notes import Note, Score, Track
from genloom.recipe import resolve
from tests.e2e.server import serving
from tests.e2e.studio_browser import browsers, complaints, press, until

pytestmark = pytest.mark.slow
webdriver = pytest.importorskip("selenium.webdriver")
NET = {"use": "transformer", "width": 16, "layers": 1, "heads": 1}
MELODY = Score((Track((Note(0, 64, 12, 79), Note(24, 67, 24, 79), Note(60, 62, 12, 79))),))
CODECS = {"tunes": {}, "grids": {"codec": {"use": "voices", "frames": 8}}}
DRAWN = """return import("/studio/roll.js").then(({ roll }) => arguments[0].map((text) =>
    [...(roll(text)?.querySelectorAll("rect") ?? [])].map((rect) =>
        ["x", "y", "width"].map((name) => Number(rect.getAttribute(name))))))"""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Of random weights, of tunes in quarter notes: as words, and as grids."""
    folder = tmp_path_factory.mktemp("tunes")
    (folder / "data").mkdir()
    for i in range(12):
        notes = [Note(12 * k, 60 + (i * k) % 8, 12 + 12 * (k % 2), 79) for k in range(8)]
        (folder / "data" / f"{i}.mid").write_bytes(midi.write(Score((Track(tuple(notes)),))))
    torch.manual_seed(0)
    recipe = {
        "data": {"source": str(folder / "data")},
        "model": {"use": "autoregressive", "net": NET},
    }
    for name, codec in CODECS.items():
        plan = resolve(recipe | codec)
        save(folder / name, model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return {name: folder / name for name in CODECS}


def texts(n: int) -> list[str]:
    """Words in any order, a few hundred in each text."""
    rng = random.Random(0)
    words = ["Bar"] * 3 + ["Meter_3/4", "Meter_4/4", "Meter_6/8", "Tempo_90", "Program_7", "Drums"]
    words += [f"Position_{3 * k}" for k in range(16)] + [f"Track_{k}" for k in range(3)] * 2
    for _ in range(20):
        words += [f"Pitch_{rng.choice((0, 60, 61))} Duration_{rng.choice((3, 12, 200))}"]
    words += ["Pitch_62", "Duration_6"] * 4
    return [" ".join(rng.choices(words, k=rng.choice((3, 300)))) for _ in range(n)]


def test_what_is_drawn_is_what_is_heard(models, tmp_path):
    said = ["Bar", "Meter_3/4 Bar Pitch_0 Duration_12 Bar Pitch_0 Duration_12", *texts(60)]
    heard = [
        sorted([n.start, -n.pitch, n.length] for track in decode(text).tracks for n in track.notes)
        for text in said
    ]
    assert heard[:2] == [[], [[0, 0, 12], [36, 0, 12]]] and sum(map(bool, heard)) > 40
    with (
        serving(tmp_path / "serve", {"tunes": models["tunes"]}) as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        page = open_page()
        assert [sorted(notes) for notes in page.execute_script(DRAWN, said)] == heard
        assert not complaints(page)


def test_who_goes_on_from_no_prompt_is_not_asked_for_one(models, tmp_path):
    with (
        serving(tmp_path / "serve", {"grids": models["grids"]}) as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        page = open_page()
        until(page, "return document.querySelector('.settings input[type=number]')")
        asked = "return document.querySelectorAll('.settings textarea, .settings .drop').length"
        assert page.execute_script(asked) == 0
        press(page, ".go")
        until(page, "return document.querySelectorAll('.texts audio').length === 3", seconds=60)
        assert not complaints(page)


def test_a_melody_goes_on_and_is_seen_and_heard(models, tmp_path):
    (tmp_path / "melody.mid").write_bytes(midi.write(MELODY))
    with (
        serving(tmp_path / "serve", {"tunes": models["tunes"]}) as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        page = open_page()
        label = until(page, "return document.querySelector('.model small')?.textContent")
        assert "events" in label and "characters" not in label
        file = until(page, "return document.querySelector('.settings .drop input[type=file]')")
        file.send_keys(str(tmp_path / "melody.mid"))
        prompt = until(page, "return document.querySelector('.settings textarea').value")
        assert prompt.split().count("Bar") == 3 and "Pitch_67 Duration_24" in prompt
        press(page, ".go")
        until(page, "return document.querySelectorAll('.texts audio').length === 3", seconds=60)
        count = "return document.querySelectorAll('.texts li:first-child svg.roll rect').length"
        assert page.execute_script(count) >= 3  # those of the melody
        first = """const [rect] = document.querySelectorAll('svg.roll rect');
            return ['x', 'y', 'width'].map((name) => Number(rect.getAttribute(name)))"""
        assert page.execute_script(first) == [0, -64, 12]
        second = first.replace("[rect]", "[, , rect]")
        assert page.execute_script(second) == [60, -62, 12]
        assert until(page, "return document.querySelector('.texts audio').duration > 1")
        assert not complaints(page)
