"""A folder of MIDI files: trained, sampled, judged, and heard over HTTP."""

from __future__ import annotations

import json
import random
import urllib.request

import mido
import pytest

from genloom import artifact, evaluation, gallery, runs
from genloom.music import events, midi
from genloom.music.notes import Note, Score, Track
from tests.e2e.asking import content, talk
from tests.e2e.server import serving

pytestmark = pytest.mark.slow
MODELS = {
    "words": {
        "model": {
            "use": "autoregressive",
            "net": {"use": "transformer", "width": 32, "layers": 1, "heads": 2},
        }
    },
    "codes": {"model": {"use": "music_vae", "width": 32, "latent": 6}},
    "frames": {
        "codec": {"use": "roll", "frames": 48},
        "model": {"use": "frames", "width": 32, "hidden": 32},
    },
}


@pytest.fixture(scope="module", params=MODELS)
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    tunes, draw = folder / "tunes", random.Random(0)
    tunes.mkdir()
    for i in range(220):
        notes = [Note(12 * k, 60 + draw.choice((0, 4, 7, 12)), 12, 79) for k in range(8)]
        bass = [Note(48 * k, 36 + draw.choice((0, 7)), 48, 79) for k in range(2)]
        score = Score((Track(tuple(notes), 40), Track(tuple(bass), 32)))
        (tunes / f"{i:03d}.mid").write_bytes(midi.write(score))
    recipe = {
        "data": {"source": str(tunes), "valid": 0.2, "test": 0.2},
        "train": {"batch": 16, "threads": 1},
        **MODELS[request.param],
    }
    runs.train(recipe, out=folder / "run", steps=60, quiet=True)
    return folder / "run"


def test_samples_are_files_that_play(run, tmp_path):
    paths, _ = gallery.write(artifact.load(run), 4, tmp_path)
    assert [path.suffix for path in paths] == [*[".mid"] * 4, ".png"]  # the rolls of all
    assert max(mido.MidiFile(path).length for path in paths[:4]) > 0


def test_a_verdict_measures_music_and_shows_it(run):
    verdict = evaluation.evaluate(artifact.load(run), force=True)
    found = {estimate.name: estimate for estimate in verdict.estimates}
    for name in ("pitch_w1", "duration_w1", "pitch_class_overlap", "copied_bars"):
        assert found[name].trivial is not None
    assert verdict.pictures["kind"] == "music" and len(verdict.pictures["samples"]) == 3


def test_a_server_gives_sound(run, tmp_path):
    with serving(tmp_path / "serve", {"music": run}) as server:
        body = json.dumps({"model": "music", "seed": 1, "format": "wav"}).encode()
        how = {"content-type": "application/json", "accept": "audio/wav"}
        request = urllib.request.Request(f"{server.url}/v1/generations", body, how)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.headers["content-type"] == "audio/wav"
            assert answer.read(4) == b"RIFF"


@pytest.mark.parametrize("run", ["codes"], indirect=True)
def test_a_way_from_one_tune_to_another_is_made_of_tunes(run, tmp_path):
    """Codes of given words or of outputs; between two of them, files that play."""
    tunes = sorted((run.parent / "tunes").iterdir())[:2]
    words = [events.encode(midi.read(tune.read_bytes())[0]) for tune in tunes]
    with serving(tmp_path / "serve", {"music": run}) as server, talk(server) as http:
        found = http.post("/v1/embeddings", json={"input": words}).json()["data"]
        a, b = (one["embedding"] for one in found)
        way = [[x + (y - x) * k / 4 for x, y in zip(a, b)] for k in range(5)]
        made = http.post("/v1/generations", json={"latent": way}).json()["data"]
        files = [http.get(one["url"]).content for one in made]
        assert len(a) == 6 and a != b and len(files) == 5
        assert all(midi.read(data)[0].tracks for data in files)
        texts = http.post("/v1/generations", json={"latent": way[:1], "format": "txt"}).json()
        output = texts["data"][0]
        ids = [output["id"], made[0]["id"]]  # one piece as words and as a file that plays
        codes = http.post("/v1/encodings", json={"outputs": ids}).json()["data"]
        said = content(http, output["url"])
        again = http.post("/v1/embeddings", json={"input": said}).json()["data"]
        assert codes[0] == pytest.approx(again[0]["embedding"], abs=1e-5)
        assert [len(code) for code in codes] == [6, 6]
