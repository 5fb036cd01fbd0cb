"""A folder of MIDI files: trained, sampled, judged, and heard over HTTP."""

from __future__ import annotations

import json
import random
import urllib.request

import mido
import pytest

from genloom import artifact, evaluation, gallery, runs
from genloom.music import midi
from genloom.music.notes import Note, Score, Track
from tests.e2e.server import serving

pytestmark = pytest.mark.slow
MODELS = {
    "words": {
        "model": {
            "use": "autoregressive",
            "net": {"use": "transformer", "width": 32, "layers": 1, "heads": 2},
        }
    },
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
