"""Music in the studio: begun with a MIDI file, shown as a piano roll, played."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genloom.artifact import save
from genloom.music import midi
from genloom.music.notes import Note, Score, Track
from genloom.recipe import resolve
from tests.e2e.server import serving
from tests.e2e.studio_browser import browsers, complaints, press, until

pytestmark = pytest.mark.slow
webdriver = pytest.importorskip("selenium.webdriver")
NET = {"use": "transformer", "width": 16, "layers": 1, "heads": 1}
MELODY = Score((Track((Note(0, 64, 12, 79), Note(24, 67, 24, 79), Note(60, 62, 12, 79))),))


@pytest.fixture(scope="module")
def tunes(tmp_path_factory) -> Path:
    """A model of random weights, of tunes in quarter notes."""
    folder = tmp_path_factory.mktemp("tunes")
    (folder / "data").mkdir()
    for i in range(12):
        notes = [Note(12 * k, 60 + (i * k) % 8, 12 + 12 * (k % 2), 79) for k in range(8)]
        (folder / "data" / f"{i}.mid").write_bytes(midi.write(Score((Track(tuple(notes)),))))
    torch.manual_seed(0)
    model = {"use": "autoregressive", "net": NET}
    plan = resolve({"data": {"source": str(folder / "data")}, "model": model})
    save(folder / "m", model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return folder / "m"


def test_a_melody_goes_on_and_is_seen_and_heard(tunes, tmp_path):
    (tmp_path / "melody.mid").write_bytes(midi.write(MELODY))
    with (
        serving(tmp_path / "serve", {"tunes": tunes}) as server,
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
