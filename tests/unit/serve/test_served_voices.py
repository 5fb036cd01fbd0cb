"""A MIDI file's voices stay, and a served model writes the others, as the library does."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from genloom.artifact import load, save
from genloom.codecs.voices import Voices
from genloom.harmony import harmonize
from genloom.music import midi
from genloom.music.notes import Note, Score, Track
from genloom.music.voices import REST, grid
from genloom.recipe import resolve
from genloom.serve.app import create_app
from genloom.serve.given import MOST_MIDI
from genloom.serve.settings import Settings

FRAMES = 8
NET = {"use": "bidirectional", "width": 16, "layers": 1, "heads": 2}
MDLM = {"model": {"use": "mdlm", "net": NET}}
VOICED = {**MDLM, "codec": {"use": "voices", "frames": FRAMES, "voices": 3}}
PLAIN = {"model": {"use": "autoregressive"}, "codec": {"use": "voices", "frames": FRAMES}}


def tune(pitch: int, n: int = 6) -> Track:
    """Quarter notes, a step up each."""
    return Track(tuple(Note(12 * i, pitch + i, 12, 79) for i in range(n)), 52)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Models of random weights: one that writes voices, and two that do not."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "data").mkdir()
    for i in range(12):
        score = Score((tune(60 + i % 3, 8), tune(50, 8), tune(45 + i % 2, 8)))
        (folder / "data" / f"{i}.mid").write_bytes(midi.write(score))
    torch.manual_seed(0)
    found = {}
    for name, recipe in {"choir": VOICED, "grids": PLAIN, "tunes": MDLM}.items():
        data = {"source": str(folder / "data")}
        plan = resolve({"data": data, "train": {"steps": 1}, **recipe})
        for p in plan.model.parameters():
            torch.nn.init.normal_(p, std=0.3)
        save(folder / name, model=plan.model, recipe=plan.recipe, items=plan.dataset.items)
        found[name] = folder / name
    return found


@pytest.fixture(scope="module")
def client(folders, tmp_path_factory):
    app = create_app(Settings(folders, tmp_path_factory.mktemp("served")))
    with TestClient(app, "http://127.0.0.1:8000") as found:
        yield found


def ask(client: TestClient, score: Score | bytes, model: str = "choir", **more):
    data = score if isinstance(score, bytes) else midi.write(score)
    source = base64.b64encode(data).decode()
    return client.post("/v1/generations", json={"model": model, "source": source, **more})


def cells(data: bytes, codec: Voices) -> torch.Tensor:
    """What a file says on the model's grid, (voices, frames)."""
    tracks = midi.read(data)[0].tracks
    found = torch.full(codec.space.shape, REST)
    found[: len(tracks)] = grid(tracks, codec.span, codec.space.shape[1])
    return found


def in_words(found: torch.Tensor, codec: Voices) -> torch.Tensor:
    """The same with the nearest lengths that the data have, as a file of an item has it."""
    return codec.cells(codec.encode(codec.decode(codec.tokens(found)[None])))[0]


@pytest.mark.parametrize("given", [(tune(60),), (tune(61), tune(50))])
def test_the_voices_of_a_file_stay_and_the_others_are_those_of_the_library(client, folders, given):
    answer = ask(client, Score(given), n=3, seed=7, format="mid")
    assert answer.status_code == 200, answer.text
    artifact = load(folders["choir"], device="cpu")
    assert isinstance(artifact.codec, Voices)
    wanted = harmonize(artifact, Score(given), [7, 8, 9])
    for one, score in zip(answer.json()["data"], wanted, strict=True):
        file = client.get(f"/v1/outputs/{one['id']}/content").content
        found = cells(file, artifact.codec)
        assert torch.equal(
            found, in_words(cells(midi.write(score), artifact.codec), artifact.codec)
        )
        kept = grid(given, artifact.codec.span, FRAMES)
        assert torch.equal(found[: len(given)], kept)
        assert (found[:, 6:] == REST).all()  # the piece is six beats long


def test_seeds_differ_and_a_seed_is_what_it_is_in_any_company(client):
    def made(n: int, seed: int) -> list[Score]:
        data = ask(client, Score((tune(60),)), n=n, seed=seed, format="mid").json()["data"]
        files = (client.get(f"/v1/outputs/{one['id']}/content").content for one in data)
        return [midi.read(file)[0] for file in files]

    together = made(4, 7)
    assert made(1, 8) == [together[1]]
    assert together[0] != together[1]


def test_only_what_writes_voices_says_so(client):
    told = {one["id"]: one for one in client.get("/v1/models").json()["data"]}
    assert {name: one["edits"] for name, one in told.items()} == {
        "choir": True,
        "grids": False,
        "tunes": False,
    }
    schema = client.get("/v1/models/choir/schema").json()
    assert schema["properties"]["source"]["contentMediaType"] == "audio/midi"


@pytest.mark.parametrize(
    ("score", "more", "status", "says"),
    [
        (b"no music", {}, 400, "source is no music that can be read"),
        (b"MThd" + bytes(MOST_MIDI), {}, 413, f"at most {MOST_MIDI} bytes"),
        (Score((tune(60), tune(50), tune(45))), {}, 400, "3 tracks with notes: from 1 to 2"),
        (Score((Track(tune(36).notes, drum=True),)), {}, 400, "0 tracks with notes"),
        (Score((tune(60, 9),)), {}, 400, "source has 9 frames"),
        (Score((tune(60),)), {"strength": 0.5}, 400, "leave strength out"),
        (Score((tune(60),)), {"mask": "AAAA"}, 400, "leave mask out"),
        (Score((tune(60),)), {"keep": True}, 400, "leave keep out"),
        (Score((tune(60),)), {"model": "grids"}, 400, "leave source out"),
        (Score((tune(60),)), {"model": "tunes"}, 400, "leave source out"),
    ],
)
def test_what_cannot_be_written_to_is_refused_in_one_line(client, score, more, status, says):
    answer = ask(client, score, **{"model": "choir", **more})
    message = answer.json()["error"]["message"]
    assert answer.status_code == status and says in message and "\n" not in message


def test_music_is_no_picture_to_edit(client):
    files = {"image": ("a.mid", midi.write(Score((tune(60),))))}
    answer = client.post("/v1/images/edits", data={"model": "choir"}, files=files)
    assert answer.status_code == 400
    assert "choir cannot edit pictures" in answer.json()["error"]["message"]
