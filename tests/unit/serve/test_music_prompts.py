"""A MIDI file becomes the prompt of a model of music."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from genloom.artifact import load, save
from genloom.continuation import opening
from genloom.music import midi
from genloom.music.notes import Note, Score, Track
from genloom.recipe import resolve
from genloom.serve.app import create_app
from genloom.serve.known import learn
from genloom.serve.settings import Settings

NET = {"use": "transformer", "width": 16, "layers": 1, "heads": 1}
MODELS = {
    "tunes": {"model": {"use": "autoregressive", "net": NET}},
    "grids": {
        "model": {"use": "autoregressive", "net": NET},
        "codec": {"use": "voices", "frames": 8, "voices": 1},
    },
}


def tune(*tracks: Iterable[Note]) -> bytes:
    """A file of such tracks."""
    return midi.write(Score(tuple(Track(tuple(notes)) for notes in tracks)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Models of random weights, of tunes in quarter notes and of lines of text."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "data").mkdir()
    for i in range(12):
        notes = [Note(12 * k, 60 + (i * k) % 8, 12, 79) for k in range(8)]
        (folder / "data" / f"{i}.mid").write_bytes(midi.write(Score((Track(tuple(notes)),))))
    (folder / "lines.txt").write_text("abcdefgh\n" * 400)
    torch.manual_seed(0)
    found = {}
    for name, recipe in {**MODELS, "lines": MODELS["tunes"]}.items():
        source = folder / ("lines.txt" if name == "lines" else "data")
        plan = resolve({"data": {"source": str(source)}, "train": {"steps": 1}, **recipe})
        save(folder / name, model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
        found[name] = folder / name
    return found


@pytest.fixture(scope="module")
def client(folders, tmp_path_factory) -> TestClient:
    app = create_app(Settings(folders, tmp_path_factory.mktemp("served")))
    return TestClient(app, "http://127.0.0.1:8000")


def sent(client: TestClient, model: str, data: bytes):
    return client.post(f"/v1/models/{model}/prompts", files={"file": ("a.mid", data)})


def test_a_file_becomes_the_words_that_a_model_goes_on_from(client, folders, tmp_path):
    played = Score((Track((Note(1, 62, 11, 79), Note(13, 64, 10, 79)), 7),))
    path = tmp_path / "played.mid"
    path.write_bytes(midi.write(played))
    found = sent(client, "tunes", path.read_bytes()).json()
    artifact = load(folders["tunes"])
    assert found == {
        "object": "prompt",
        "model": "tunes",
        "prompt": opening(artifact, str(path)),
    }
    assert artifact.items.lexicon is not None
    assert artifact.items.lexicon.encode(found["prompt"])  # all its words are known
    assert " Pitch_62 Duration_12 " in found["prompt"] and found["prompt"].endswith(" Bar")


@pytest.mark.parametrize(
    ("model", "data", "status", "says"),
    [
        ("tunes", b"no music", 400, "no music that can be read"),
        ("lines", b"MThd", 400, "makes text, not music"),
        ("nobody", b"MThd", 404, "does not exist"),
        ("tunes", b"MThd" + bytes(midi.MOST_BYTES), 400, "no music that can be read"),
        ("tunes", b"MThd" + bytes(2**18), 400, f"{2**18 + 4} bytes, at most {2**18}"),
        ("grids", b"MThd", 400, "grids does not go on from a prompt."),
        ("tunes", tune((Note(0, 60, 12, 79),), (Note(0, 62, 12, 79),)), 400, "without 'Track_1'"),
        ("tunes", tune((Note(0, 100, 12, 79),)), 400, "without 'Pitch_100'"),
        ("tunes", tune([Note(12 * k, 60, 12, 79) for k in range(500)]), 400, "words, and a text"),
    ],
)
def test_what_is_no_such_file_is_refused(client, model, data, status, says):
    answer = sent(client, model, data)
    assert answer.status_code == status and says in answer.json()["error"]["message"]


def test_tokens_of_a_grid_are_no_words(folders):
    assert {name: learn(name, path).tokens for name, path in folders.items()} == {
        "tunes": True,
        "grids": False,
        "lines": True,
    }


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"prompt": "Bar"}, "grids does not go on from a prompt."),
        ({"max_tokens": 4}, "grids does not draw token by token."),
    ],
)
def test_what_draws_no_words_says_so(client, more, says):
    answer = client.post("/v1/generations", json={"model": "grids", "n": 1, **more})
    assert answer.status_code == 400 and answer.json()["error"]["message"] == says


def test_the_card_says_who_goes_on_from_a_prompt(client):
    told = client.get("/v1/models").json()["data"]
    assert {one["id"]: one["continues"] for one in told} == {
        "tunes": True,
        "grids": False,
        "lines": True,
    }
