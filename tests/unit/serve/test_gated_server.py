"""A real server with a gate: what it serves, what it refuses, and where an output comes from."""

from __future__ import annotations

import hashlib
import json
import shutil

import httpx2
import pytest

from genloom.cli import main
from genloom.serve.known import learn
from genloom.serve.store import Folders, Store
from tests.e2e.server import make_models, serving

GATE = '[gate]\nrequire = "pass"\nmax.copies = 0.02\n'
COPIES = {"name": "copies", "value": 0.0, "low": 0.0, "high": 0.004, "floor": 0.0}


def judge(folder, weights):
    told = {"model": weights, "passed": True, "failures": [], "estimates": [COPIES]}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(told | {"conditions": {"n": 1000}})
    (folder / "verdict.json").write_text(text, "utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def models(tmp_path_factory, cache):
    made = make_models(tmp_path_factory.mktemp("models"))
    card = json.loads((made["digits"] / "card.json").read_text("utf-8"))
    card["data"]["licence"] = "CC-BY-4.0"
    (made["digits"] / "card.json").write_text(json.dumps(card), "utf-8")
    return made


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    """digits has passed, moons is let through, words was trained here and waits."""
    root = tmp_path_factory.mktemp("gated")
    (root / "gate.toml").write_text(GATE, "utf-8")
    shutil.copytree(models["words"], root / "state" / "runs" / "words" / "model")
    with Store(root / "state" / "genloom.sqlite") as store:
        folders = Folders(store, None, root / "state")
        folders.reserve("runs/words", "local")
        folders.keep("runs/words", done=True)
    judge(models["digits"], learn("digits", models["digits"]).hash)
    served = {name: models[name] for name in ("digits", "moons")}
    more = ["--gate", str(root / "gate.toml"), "--ungated", "moons"]
    with serving(root / "state", served, *more) as started:
        yield started


@pytest.fixture(scope="module")
def client(server):
    with httpx2.Client(base_url=server.url, timeout=60) as opened:
        yield opened


def made(client, model, **more):
    answer = client.post("/v1/generations", json={"model": model, "seed": 5, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"][0]["id"]


def gates(client):
    return {one["id"]: one["gate"] for one in client.get("/v1/models").json()["data"]}


def test_a_model_that_does_not_pass_is_not_served(models, tmp_path, capsys):
    (tmp_path / "gate.toml").write_text(GATE, "utf-8")
    command = ["serve", f"moons={models['moons']}", f"words={models['words']}", "--port", "0"]
    command += ["--folder", str(tmp_path / "state"), "--gate", str(tmp_path / "gate.toml")]
    assert main([*command, "--ungated", "words"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, last = said.err.splitlines()
    assert first == "genloom: moons does not pass the gate: it has no verdict of these weights."
    assert "nothing is served" in last


def test_a_model_trained_here_waits_until_a_job_finds_that_it_passes(client, server):
    assert gates(client) == {"digits": "passed", "moons": "overridden", "words": "waiting"}
    answer = client.post("/v1/generations", json={"model": "words"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "gate_not_passed")
    assert "Evaluate it first" in error["message"]
    weights = learn("words", server.folder / "runs" / "words").hash
    report = judge(server.folder / "verdicts" / "job", weights)
    assert gates(client)["words"] == "passed"
    lineage = client.get(f"/v1/outputs/{made(client, 'words')}/lineage").json()
    assert lineage["report"]["sha256"] == report


def test_an_output_leads_to_model_data_verdict_and_licence(client, models):
    known = learn("digits", models["digits"])
    lineage = client.get(f"/v1/outputs/{made(client, 'digits', label='3')}/lineage").json()
    report = lineage.pop("report")
    assert lineage["model"] == {
        "hash": known.hash,
        "recipe_hash": known.recipe,
        "name": "digits",
        "gate": "passed",
    }
    assert lineage["data"] == {"fingerprint": known.data}
    assert lineage["licence"] == "CC-BY-4.0"
    path = models["digits"] / "verdict.json"
    assert report["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (report["found"], report["passed"]) == (True, True)
    assert report["measures"] == {"copies": COPIES}
    lineage = client.get(f"/v1/outputs/{made(client, 'moons')}/lineage").json()
    assert (lineage["report"], lineage["licence"]) == (None, None)
    assert lineage["model"]["gate"] == "overridden"
    assert client.get(f"/v1/outputs/{'a' * 26}/lineage").status_code == 404


def test_the_server_makes_its_outputs_again(client):
    options = {"options": {"steps": 2}}
    for model, more, compared in (
        ("moons", {}, "the whole file"),
        ("digits", options, "the content before the server's marks"),
    ):
        output = made(client, model, **more)
        found = client.post(f"/v1/outputs/{output}/reproduce").json()
        assert (found["same"], found["compared"]) == (True, compared)
        assert found["sha256"] == found["recorded"]
    assert client.post(f"/v1/outputs/{'a' * 26}/reproduce").status_code == 404


def test_the_command_finds_the_models_of_a_server(client, server, capsys):
    output = made(client, "digits", options={"steps": 1})
    command = ["reproduce", output, "--folder", str(server.folder), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True
