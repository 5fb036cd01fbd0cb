"""A MIDI file's voices stay, and a served model writes the others, as the library does."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from genloom.artifact import load, save
from genloom.cli import main
from genloom.codecs.scores import Scores
from genloom.codecs.voices import Voices
from genloom.harmony import harmonize
from genloom.lexicon import END
from genloom.music import midi
from genloom.music.notes import Note, Score, Track
from genloom.music.voices import REST, grid
from genloom.recipe import resolve
from genloom.serve.app import create_app
from genloom.serve.asked import Asked
from genloom.serve.engine.batching import Batcher
from genloom.serve.given import CHANGED, CUT_OFF, MOST_MIDI, voices
from genloom.serve.known import learn
from genloom.serve.originals import Sent, made_from
from genloom.serve.problems import Problem
from genloom.serve.settings import Settings
from tests.unit.serve.engine.made import finals, run

FRAMES = 8
NET = {"use": "bidirectional", "width": 16, "layers": 1, "heads": 2}
MDLM = {"model": {"use": "mdlm", "net": NET}}
VOICED = {**MDLM, "codec": {"use": "voices", "frames": FRAMES, "voices": 3}}
PLAIN = {**VOICED, "model": {"use": "autoregressive"}}


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
def kept(tmp_path_factory) -> Path:
    """What the server keeps."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def client(folders, kept):
    app = create_app(Settings(folders, kept))
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
        stay = grid(given, artifact.codec.span, FRAMES)
        assert torch.equal(found[: len(given)], stay)
        assert (found[:, 6:] == REST).all()  # the piece is six beats long


def test_seeds_differ_and_a_seed_is_what_it_is_in_any_company(client):
    def made(n: int, seed: int) -> list[Score]:
        data = ask(client, Score((tune(60),)), n=n, seed=seed, format="mid").json()["data"]
        files = (client.get(f"/v1/outputs/{one['id']}/content").content for one in data)
        return [midi.read(file)[0] for file in files]

    together = made(4, 7)
    assert made(1, 8) == [together[1]]
    assert together[0] != together[1]


def test_outputs_are_listed_by_their_model_by_name_and_by_hash(client):
    hashes = {one["id"]: one["hash"] for one in client.get("/v1/models").json()["data"]}
    for model in ("tunes", "grids", "tunes"):
        assert client.post("/v1/generations", json={"model": model}).status_code == 200
    for name in ("tunes", "grids"):
        listed, same = (
            client.get(f"/v1/outputs?model={model}").json()["data"]
            for model in (name, hashes[name])
        )
        assert listed == same and len(listed) >= (2 if name == "tunes" else 1)
        assert {one["model"] for one in listed} == {name}
    assert client.get("/v1/outputs?model=none").json()["data"] == []
    assert {one["model"] for one in client.get("/v1/outputs").json()["data"]} >= {"tunes", "grids"}


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
        (Score((tune(60), tune(100))), {}, 400, "pitches that the model's data had not: [100,"),
        (Score((Track((Note(0, 60, 24, 79),)),)), {}, 400, "lengths that the model's data had not"),
        (Score((Track((Note(1, 60, 2, 79),)),)), {}, 400, "rests at the start of each frame (12"),
        (b"MThd" + b"\xff" * 5000, {}, 400, "a number or a text of thousands of bytes"),
        (Score((tune(60),)), {"strength": 0.5}, 400, "leave strength out"),
        (Score((tune(60),)), {"mask": "AAAA"}, 400, "leave mask out"),
        (Score((tune(60),)), {"keep": True}, 400, "leave keep out"),
        (Score((tune(60),)), {"model": "grids"}, 400, "leave source out"),
        (Score((tune(60),)), {"model": "tunes"}, 400, "tunes, a model of music"),
        (Score((tune(60),)), {"model": "tunes"}, 400, "no given voices: leave source out"),
    ],
)
def test_what_cannot_be_written_to_is_refused_in_one_line(client, score, more, status, says):
    answer = ask(client, score, **{"model": "choir", **more})
    message = answer.json()["error"]["message"]
    assert answer.status_code == status and says in message and "\n" not in message


def test_a_voice_that_stays_is_never_spoilt_in_silence(folders, client, monkeypatch):
    """A sample that says other voices than those that stay is withheld, and says why."""
    artifact = load(folders["choir"], device="cpu")
    words = 30  # those of six notes take 29
    assert words < artifact.items.shape[0]
    real = Scores.rows

    def short(self, scores):
        found = real(self, scores)
        full = (found != self.words.mark(END)).sum(1) > words
        found[full, words:] = self.words.mark(END)
        return found

    monkeypatch.setattr(Scores, "rows", short)
    known = learn("choir", folders["choir"])
    sent = Sent(picture=midi.write(Score((tune(60),))))
    asked = made_from(Asked(known=known, seeds=(7, 8), form="mid"), sent)
    (done,) = finals(run(Batcher({"choir": artifact}), [asked.request()])).values()
    assert asked.spoilt(asked.items(done)) == [CUT_OFF] * 2
    assert asked.original is not None and asked.spoilt([asked.original.picture]) == [None]
    assert known.voices is not None
    other = real(known.voices.scores, [Score((tune(61),))])
    assert asked.spoilt([other[0]]) == [CHANGED]


def test_a_voice_that_the_data_had_not_is_refused_before_anything_is_written(folders):
    """Of a model that was trained when `voices` still took data of fewer tracks."""
    codec = Voices(load(folders["choir"], device="cpu").items, frames=FRAMES, voices=4)
    with pytest.raises(Problem, match=r"had 3 tracks.* for 4 voices.*codec.voices=3") as refused:
        voices(midi.write(Score((tune(60),))), codec)
    assert refused.value.status == 400


def test_an_output_is_made_again_from_its_record_and_the_file(
    client, folders, kept, tmp_path, capsys
):
    given = tmp_path / "given.mid"
    given.write_bytes(midi.write(Score((tune(60),))))
    (one,) = ask(client, given.read_bytes(), n=1, seed=7, format="mid").json()["data"]
    served = ["--folder", str(kept), "--model", str(folders["choir"])]
    assert main(["reproduce", one["id"], *served, "--source", str(given)]) == 0
    assert main(["reproduce", one["id"], *served]) == 2
    assert "send it again (--source FILE)" in capsys.readouterr().err
    mask = ["--mask", str(given)]
    assert main(["reproduce", one["id"], *served, "--source", str(given), *mask]) == 2
    assert "leave mask out" in capsys.readouterr().err


def test_music_is_no_picture_to_edit(client):
    files = {"image": ("a.mid", midi.write(Score((tune(60),))))}
    answer = client.post("/v1/images/edits", data={"model": "choir"}, files=files)
    assert answer.status_code == 400
    assert "choir cannot edit pictures" in answer.json()["error"]["message"]


@pytest.mark.parametrize("why", [CUT_OFF, CHANGED])
def test_a_sample_whose_voices_are_spoilt_is_withheld_and_says_why(client, monkeypatch, why):
    monkeypatch.setattr(Asked, "spoilt", lambda self, items: [why] * len(items))
    (one,) = ask(client, Score((tune(60),)), n=1, seed=7, format="mid").json()["data"]
    assert (one["state"], one["id"]) == ("refused", None)
    assert one["reason"] == why
