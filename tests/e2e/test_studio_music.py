"""Music in the studio: begun with a MIDI file or on its keys, shown as a piano roll, played."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import urllib.request
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
from tests.e2e.test_studio_views import AXE, faults

pytestmark = pytest.mark.slow
webdriver = pytest.importorskip("selenium.webdriver")
NET = {"use": "transformer", "width": 16, "layers": 1, "heads": 1}
MELODY = Score((Track((Note(0, 64, 12, 79), Note(24, 67, 24, 79), Note(60, 62, 12, 79))),))
FILLS = {"use": "mdlm", "net": NET | {"use": "bidirectional"}}
VOICES = {"codec": {"use": "voices", "frames": 8}}
MODELS = {
    "tunes": {"model": {"use": "autoregressive", "net": NET}},
    "grids": {"model": {"use": "autoregressive", "net": NET}} | VOICES,
    "harmony": {"model": FILLS} | VOICES,
    "cramped": {"model": FILLS} | VOICES,
}
DRAWN = """return import("/studio/roll.js").then(({ roll }) => arguments[0].map((text) =>
    [...(roll(text)?.querySelectorAll("rect") ?? [])].map((rect) =>
        ["x", "y", "width"].map((name) => Number(rect.getAttribute(name))))))"""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Of random weights, of tunes in quarter notes: as words, as grids, as voices to others.

    In those of "cramped" the voices take turns, so that an item has no room for all at once.
    """
    folder = tmp_path_factory.mktemp("tunes")
    for i in range(12):
        notes = [Note(12 * k, 60 + (i * k) % 8, 12 + 12 * (k % 2), 79) for k in range(8)]
        tracks = {
            "tunes": (Track(tuple(notes)),),
            "choirs": (Track(tuple(notes)),) * 4,
            "turns": tuple(Track(tuple(notes[2 * v : 2 * v + 2])) for v in range(4)),
        }
        for name, each in tracks.items():
            (folder / "data" / name).mkdir(parents=True, exist_ok=True)
            (folder / "data" / name / f"{i}.mid").write_bytes(midi.write(Score(each)))
    torch.manual_seed(0)
    for name, chosen in MODELS.items():
        source = folder / "data" / {"tunes": "tunes", "cramped": "turns"}.get(name, "choirs")
        plan = resolve({"data": {"source": str(source)}} | chosen)
        save(folder / name, model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
    return {name: folder / name for name in MODELS}


def streamed(url: str, body: dict) -> tuple[str, str]:
    """The prompt with the pieces of the first text as they come, and the whole text at the end."""
    request = urllib.request.Request(
        f"{url}/v1/generations",
        data=json.dumps({**body, "stream": True}).encode(),
        headers={"Content-Type": "application/json"},
    )
    said, whole = body["prompt"], ""
    with urllib.request.urlopen(request, timeout=60) as answer:
        for line in answer:
            told = json.loads(line[6:]) if line.startswith(b"data: {") else {}
            said += told.get("text", "") if "index" in told else ""
            whole = told["data"][0]["text"] if "data" in told else whole
    return said, whole


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
        said, whole = streamed(server.url, {"prompt": "Bar", "seed": 3, "format": "txt"})
        assert said == whole and len(said) > 20  # words are parted from the prompt too


# A MIDI keyboard without one, and sounds that nobody hears.
PIANO = """const input = {};
navigator.requestMIDIAccess = async () => ({ inputs: new Map([["a", input]]) });
window.strike = (status, pitch, at) =>
  input.onmidimessage({ data: [status, pitch, 90], timeStamp: at });
window.AudioContext = class {
  currentTime = 0;
  createOscillator() {
    return { frequency: {}, start() {}, stop() {}, connect: (next) => next };
  }
  createGain() {
    return { gain: { setTargetAtTime() {} }, connect: (next) => next };
  }
};"""
WRITTEN = """return import("/studio/midi.js").then(({ notesOf, written }) => arguments[0].map(
    ([tempo, grid, strokes]) => [...written(notesOf(strokes, { tempo, grid }), tempo)]))"""
PLAYED = "return document.querySelectorAll('.keyboard svg rect').length"
WORDS = "return document.querySelector('.settings textarea').value"


def test_what_is_played_is_written_to_the_nearest_line(models, tmp_path):
    rng = random.Random(1)
    asked, meant = [], []
    for tempo, grid in ((60, 2), (90, 2), (123, 3), (200, 4)):
        line, now, strokes, notes = 60000 / tempo / grid, 5e6, [], []
        for i in range(40):
            start, length = i and now + rng.randrange(3), rng.randrange(1, 16 * grid + 1)
            now, pitch = start or 0, 20 + 2 * i % 90
            from_, to = (
                k * line + 0.4 * line * rng.uniform(-1, 1) * (k > 0) for k in (now, now + length)
            )
            strokes.append({"pitch": pitch, "from": 7e6 + from_, "to": 7e6 + to})
            notes.append((now * 12 // grid, pitch, length * 12 // grid))
        strokes += [  # a key that is struck again where it is let go
            {"pitch": 20, "from": 7e6 + now * line, "to": 7e6 + (now + 2) * line},
            {"pitch": 20, "from": 7e6 + (now + 2) * line, "to": 7e6 + (now + 3) * line},
        ]
        notes += [(now * 12 // grid, 20, 24 // grid), ((now + 2) * 12 // grid, 20, 12 // grid)]
        asked.append([tempo, grid, strokes])
        meant.append(sorted(notes))
    with (
        serving(tmp_path / "serve", {"tunes": models["tunes"]}) as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        files = open_page().execute_script(WRITTEN, asked)
    for file, notes, (tempo, _, _) in zip(files, meant, asked):
        score, findings = midi.read(bytes(file))
        assert not findings
        assert [each.beats for each in score.tempos] == [tempo]
        assert [(n.start, n.pitch, n.length) for t in score.tracks for n in t.notes] == notes


def test_a_melody_is_played_and_goes_on(models, tmp_path):
    (tmp_path / "melody.mid").write_bytes(midi.write(MELODY))
    with (
        serving(tmp_path / "serve", {"tunes": models["tunes"]}) as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        page = open_page(script=PIANO)
        press(page, ".settings details summary")
        page.execute_script("document.querySelector('.piano button').focus()")
        page.switch_to.active_element.send_keys("s")
        assert until(page, WORDS).split().count("Pitch_62") == 1
        assert page.execute_script(PLAYED) == 1
        press(page, ".keyboard .actions button:nth-child(2)")  # play anew
        until(page, "return !document.querySelector('.settings textarea').value")
        assert page.execute_script(PLAYED) == 0

        press(page, ".keyboard .actions button:nth-child(3)")  # a MIDI keyboard
        until(page, "return document.querySelector('.toast')")
        eighth = 60000 / 90 / 2
        for at, status, pitch in (
            (0, 0x90, 60), (1.9, 0x80, 60), (2.2, 0x90, 64), (3.8, 0x90, 67), (4.1, 0x80, 64),
            (6, 0x80, 67), (100, 0x90, 65), (102, 0x80, 65),
        ):  # fmt: skip
            page.execute_script("strike(...arguments)", status, pitch, 9e6 + at * eighth)
        until(page, f"return ({WORDS[7:]}).includes('Pitch_65')")
        notes = sorted(
            (note.start, note.pitch, note.length)
            for track in decode(page.execute_script(WORDS)).tracks
            for note in track.notes
        )  # the pause before the last one is not the tune's
        assert notes == [(0, 60, 12), (12, 64, 12), (24, 67, 12), (36, 65, 12)]
        press(page, ".keyboard .actions button:nth-child(1)")  # take back
        until(page, f"return !({WORDS[7:]}).includes('Pitch_65')")
        assert page.execute_script(PLAYED) == 3

        file = page.find_element("css selector", ".settings .drop input[type=file]")
        file.send_keys(str(tmp_path / "melody.mid"))  # takes the place of what was played
        words = until(page, f"return ({WORDS[7:]}).includes('Duration_24') && {WORDS[7:]}")
        assert page.execute_script(PLAYED) == 0
        page.execute_script(
            "const tempo = document.querySelector('.keyboard input.number'); tempo.value = 50;"
            "tempo.dispatchEvent(new Event('input'))"
        )
        assert page.execute_script(WORDS) == words
        press(page, ".go")
        until(page, "return document.querySelectorAll('.texts audio').length === 3", seconds=60)
        assert not complaints(page)


@pytest.mark.parametrize("played", [True, False])
def test_voices_are_written_to_a_tune(models, tmp_path, played):
    tune = Score((Track((Note(0, 64, 24, 79), Note(24, 62, 12, 79))),))
    (tmp_path / "source.mid").write_bytes(midi.write(tune))
    with (
        serving(tmp_path / "serve", {"harmony": models["harmony"]}) as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        page = open_page(script=PIANO)
        assert until(page, "return document.querySelector('.original .drop')")
        if played:
            press(page, ".settings details summary")
            press(page, ".keyboard .actions button:nth-child(3)")
            until(page, "return document.querySelector('.toast')")
            eighth = 60000 / 90 / 2
            for at, status, pitch in ((0, 0x90, 64), (4, 0x80, 64), (4, 0x90, 62), (6, 0x80, 62)):
                page.execute_script("strike(...arguments)", status, pitch, 9e6 + at * eighth)
        else:
            place = page.find_element("css selector", ".original input[type=file]")
            place.send_keys(str(tmp_path / "source.mid"))
        until(page, "return document.querySelector('.original [role=status] button')")
        press(page, ".go")
        until(page, "return document.querySelectorAll('.texts audio').length === 3", seconds=60)
        for text in page.execute_script(
            "return [...document.querySelectorAll('.texts .prose')].map((one) => one.textContent)"
        ):
            voices = decode(text).tracks
            assert [(n.start, n.pitch, n.length) for n in voices[0].notes] == [
                (0, 64, 24),
                (24, 62, 12),
            ]
        press(page, ".texts footer button:last-child")
        until(page, "return document.querySelectorAll('dialog pre').length > 2")
        code = page.execute_script(
            "return [...document.querySelectorAll('dialog .listing pre')].map((p) => p.textContent)"
        )
        for command in (["bash", "-c", code[0]], [sys.executable, "-c", code[1]]):
            done = subprocess.run(
                command, cwd=tmp_path, env=os.environ | {"no_proxy": "*"},
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "Pitch_64" in done.stdout and "error" not in done.stdout, done.stdout
        assert not complaints(page)


def test_what_is_refused_says_why(models, tmp_path):
    tune = Score((Track(tuple(Note(12 * k, 60 + k % 2, 12, 79) for k in range(8))),))
    (tmp_path / "source.mid").write_bytes(midi.write(tune))
    with (
        serving(tmp_path / "serve", {"cramped": models["cramped"]}) as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        page = open_page()
        until(page, "return document.querySelector('.original .drop')")
        place = page.find_element("css selector", ".original input[type=file]")
        place.send_keys(str(tmp_path / "source.mid"))
        until(page, "return document.querySelector('.original [role=status] button')")
        press(page, ".go")
        why = "has more words than an item"
        until(page, f"return document.querySelector('.texts .prose').textContent.includes('{why}')")
        assert not page.execute_script("return document.querySelector('.texts audio')")
        press(page, ".texts footer button:last-child")
        until(page, f"return document.querySelector('dialog').textContent.includes('{why}')")
        assert not complaints(page)


@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_serious_fault_in_the_piano(models, tmp_path, width):
    source = gzip.decompress(AXE.read_bytes()).decode()
    with (
        serving(tmp_path / "serve", {"harmony": models["harmony"]}) as server,
        browsers(tmp_path, server.url) as open_page,
    ):
        page = open_page(width, 900, dark=width < 600, script=PIANO)
        press(page, ".settings details summary")
        page.execute_script("document.querySelector('.piano button').focus()")
        page.switch_to.active_element.send_keys("s")
        until(page, "return document.querySelector('.original [role=status] button')")
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        assert not faults(page, source)
