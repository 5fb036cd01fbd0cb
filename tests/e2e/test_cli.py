"""A user's path through the verbs on a real, tiny run."""

from __future__ import annotations

import json
import tomllib

import pytest

import genloom as gl
from genloom.cli import main

TINY = ["--data", "moons", "--model", "vae", "--steps", "20", "--quiet"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a finished run, runs/moons-vae."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *TINY]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(place, monkeypatch):
    monkeypatch.chdir(place)


def test_a_run_folder_holds_what_is_promised(place):
    run = place / "runs" / "moons-vae"
    for name in ("recipe.toml", "data.json", "env.json", "run.json", "metrics.jsonl"):
        assert (run / name).is_file(), name
    for name in ("checkpoints", "samples", "model"):
        assert any((run / name).iterdir()), name
    facts = json.loads((run / "data.json").read_text())
    assert facts["train"] > facts["valid"] > 0
    assert json.loads((run / "run.json").read_text())["status"] == "done"


def test_the_resolved_recipe_trains_the_same_weights(place, capsys):
    recipe = tomllib.loads((place / "runs" / "moons-vae" / "recipe.toml").read_text())
    again = gl.train(recipe, out="again", quiet=True)
    assert again.hash == gl.load("moons-vae").hash
    assert len(gl.sample("again", 3)) == 3


def test_the_next_run_has_a_name_of_its_own(capsys):
    assert main(["train", *TINY, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["run"] == "runs/moons-vae-2"
    assert report["step"] == 20


def test_a_folder_of_another_run_is_left_alone(place, capsys):
    before = (place / "runs" / "moons-vae" / "recipe.toml").read_bytes()
    assert main(["train", *TINY, "--seed", "1", "--out", "runs/moons-vae"]) == 2
    assert "another recipe" in capsys.readouterr().err
    assert main(["train", *TINY, "--new", "--out", "runs/moons-vae"]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (place / "runs" / "moons-vae" / "recipe.toml").read_bytes() == before


def test_a_finished_run_has_nothing_to_resume(capsys):
    assert main(["train", "--resume", "moons-vae", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "done"


def test_runs_lists_it(capsys):
    assert main(["runs", "--json"]) == 0
    found = {run["name"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    run = found["moons-vae"]
    assert (run["status"], run["step"], run["total"], run["model"]) == ("done", 20, 20, "vae")
    assert main(["runs"]) == 0
    assert "moons-vae" in capsys.readouterr().out


def test_samples_of_points_are_csv(place, capsys):
    assert main(["sample", "moons-vae", "-n", "2", "--out", "points"]) == 0
    names = {path.name for path in (place / "points").iterdir()}
    assert {"000000.csv", "000001.csv", "grid.png"} <= names


@pytest.mark.slow
def test_evaluate_writes_verdict_page_and_card(place, capsys):
    code = main(["evaluate", "moons-vae", "--json"])
    verdict = json.loads(capsys.readouterr().out)
    assert code == (0 if verdict["passed"] else 20)
    run = place / "runs" / "moons-vae"
    stored = json.loads((run / "verdict.json").read_text())
    assert stored["estimates"] == verdict["estimates"]
    assert "<html" in (run / "report.html").read_text(encoding="utf-8")
    name = verdict["estimates"][0]["name"]
    assert name in gl.load("moons-vae").card["metrics"]


@pytest.mark.slow
def test_evaluate_takes_the_familys_options_and_leaves_the_run_alone(place, capsys):
    files = {p: p.read_bytes() for p in (place / "runs" / "moons-vae").rglob("*") if p.is_file()}
    line = ["evaluate", "moons-vae", "--temperature", "0.1", "--out", "cold", "--json"]
    assert main(line) in (0, 20)
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["sample_options"]["temperature"] == 0.1
    assert next(e["value"] for e in verdict["estimates"] if e["name"] == "diversity") < 0.7
    assert json.loads((place / "cold" / "verdict.json").read_text())["passed"] == verdict["passed"]
    assert {p: p.read_bytes() for p in files} == files
    assert main(["evaluate", "moons-vae", "--temperatur", "1"]) == 2
    assert "did you mean '--temperature'" in capsys.readouterr().err
