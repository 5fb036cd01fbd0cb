"""Trainings by job: data looked at, forecast, watched, stopped, resumed, taken over, judged."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import time
import zipfile

import pytest
from PIL import Image

from tests.e2e.asking import children, events, look, made, talk, until
from tests.e2e.server import serving
from tests.e2e.test_jobs import PLAIN, VERB, begin

LONG = {"data": "moons", "family": "vae", "name": "mine", "steps": 40_000}


@pytest.fixture
def own(tmp_path, served_models):
    """A server for one test, which may kill it."""
    with serving(tmp_path / "state", served_models, *PLAIN) as started:
        yield started


def step_of(client, job: str) -> int:
    return client.get(f"/v1/jobs/{job}/curves").json()["step"]


def pictures(count: int, broken: bytes) -> bytes:
    """A zip with two classes of pictures, and one file that is none."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(count):
            picture = io.BytesIO()
            Image.new("L", (8, 8), 2 * i).save(picture, "png")
            archive.writestr(f"{'odd' if i % 2 else 'even'}/{i:03d}.png", picture.getvalue())
        archive.writestr("odd/broken.png", broken)
    return out.getvalue()


def upload(client, content: bytes) -> str:
    return client.post("/v1/files", files={"file": ("mine.zip", content)}).json()["id"]


def test_a_survey_names_the_broken_picture(own):
    with talk(own) as client:
        whole = io.BytesIO()
        Image.new("L", (8, 8), 77).save(whole, "png")
        data = upload(client, pictures(40, whole.getvalue()[:50]))
        told = events(client, begin(client, "survey", data=data))[-1]
        assert told["state"] == "succeeded", told
        found = told["result"]
        assert (found["read"], found["quarantined"], found["kind"]) == (40, 1, "image")
        assert found["shape"] == [1, 8, 8] and found["shapes"] == {"1x8x8": 40}
        assert found["classes"] == [{"name": "even", "count": 20}, {"name": "odd", "count": 20}]
        [broken] = found["findings"]
        assert (broken["file"], broken["code"], broken["kept"]) == (
            "odd/broken.png",
            "truncated",
            False,
        )
        assert found["ready"] and str(own.folder) not in json.dumps(told)
        built_in = events(client, begin(client, "survey", data="moons"))[-1]["result"]
        assert built_in["kind"] == "points" and built_in["findings"] == []


def test_data_that_are_none_are_told_without_our_paths(own):
    with talk(own) as client:
        data = upload(client, b"no zip at all")
        told = events(client, begin(client, "survey", data=data))[-1]
        assert told["state"] == "succeeded" and not told["result"]["ready"]
        assert "mine.zip" in told["result"]["problem"]
        for kind, more in (("forecast", {}), ("train", {"name": "none"})):
            body = {"data": data, "family": "vae", "steps": 9, **more}
            failed = events(client, begin(client, kind, **body))[-1]
            assert failed["state"] == "failed" and "mine.zip" in failed["error"]
            assert str(own.folder) not in json.dumps(failed)


def test_a_forecast_is_a_number_and_leaves_nothing(own):
    with talk(own) as client:
        body = {"data": "moons", "family": "vae", "minutes": 0.2}
        told = events(client, begin(client, "forecast", **body))[-1]
        assert told["state"] == "succeeded", told
        found = told["result"]
        assert found["steps"] > 10 and 6 < found["seconds"] < 24
        assert 50e6 < found["memory_bytes"] < 5e9 and 1e4 < found["disk_bytes"] < 1e8
        larger = {**body, "settings": {"model.net.use": "mlp_coder", "model.net.width": 1024}}
        wide = events(client, begin(client, "forecast", **larger))[-1]["result"]
        assert wide["disk_bytes"] > 1.5 * found["disk_bytes"]
        long = begin(client, "forecast", **body | {"minutes": 60})
        until(lambda: look(client, long)["state"] == "running", 10, "running")
        client.delete(f"/v1/jobs/{long}")
        until(lambda: look(client, long)["finished"], 20, "stopped")
    assert list((own.folder / "rehearsals").iterdir()) == []
    assert not list(own.folder.glob("**/.forecast-*")) and not (own.folder / "runs").exists()


@pytest.mark.slow
def test_curves_grow_and_a_stopped_training_goes_on_where_it_was(own):
    with talk(own) as client:
        first = begin(client, "train", **LONG, settings={"train.lr": 2e-3})
        taken = client.post("/v1/jobs", json={"kind": "train", "body": LONG})
        assert taken.status_code == 200  # the name is the same caller's, and nothing has begun
        client.delete(f"/v1/jobs/{taken.json()['id']}")
        until(lambda: step_of(client, first) > 400, 60, "trained")
        quick = begin(client, "survey", data="moons")  # not behind the training
        before = client.get(f"/v1/jobs/{first}/curves").json()
        until(lambda: step_of(client, first) > before["step"] + 400, 60, "grown")
        after = client.get(f"/v1/jobs/{first}/curves?points=20").json()
        assert before["total"] == 40_000 and after["seconds_left"] > 0
        for name, curve in before["series"].items():
            assert after["series"][name][-1][0] > curve[-1][0] and len(after["series"][name]) <= 20
        until(lambda: look(client, quick)["finished"], 30, "survey beside the training")
        assert look(client, first)["state"] == "running"
        resumed = client.post(f"/v1/jobs/{first}/resume")
        assert resumed.status_code == 400 and "running" in resumed.json()["error"]["message"]

        client.delete(f"/v1/jobs/{first}")
        until(lambda: look(client, first)["state"] == "cancelled", 30, "cancelled")
        assert children(own, VERB) == []  # it was waited for
        run = own.folder / "runs" / "mine"
        state = json.loads((run / "run.json").read_text())
        saved = max(int(p.name[5:]) for p in (run / "checkpoints").glob("step-*"))
        assert state["status"] == "stopped" and saved >= after["step"]
        assert f"stopped at step {saved} of 40000" in state["error"]
        refused = client.post("/v1/jobs", json={"kind": "train", "body": LONG})
        assert refused.status_code == 400 and refused.json()["error"]["param"] == "name"

        again = client.post(f"/v1/jobs/{first}/resume").json()
        assert again["body"]["resumes"] == first and again["state"] == "queued"
        until(lambda: step_of(client, again["id"]) > saved + 100, 60, "resumed")
        seen = client.get(f"/v1/jobs/{again['id']}/curves?points=2000").json()
        steps = [step for step, _ in next(iter(seen["series"].values()))]
        assert steps == sorted(set(steps)) and steps[0] < 400 and steps[-1] > saved
        assert look(client, again["id"])["progress"] > saved / 40_000 - 0.01
        client.delete(f"/v1/jobs/{again['id']}")
        until(lambda: look(client, again["id"])["finished"], 30, "stopped")
        resumed_at = max(int(p.name[5:]) for p in (run / "checkpoints").glob("step-*"))
        assert resumed_at > saved

        sheets = client.get(f"/v1/jobs/{first}/samples").json()["data"]
        assert sheets[0]["step"] == 0 and sheets[0]["media_type"] == "image/png"
        picture = client.get(sheets[0]["url"])
        assert Image.open(io.BytesIO(picture.content)).format == "PNG"
        for wrong in ("1", "-1", "..%2f..%2frun", "1e3", "9" * 400):
            answer = client.get(f"/v1/jobs/{first}/samples/{wrong}")
            assert answer.status_code in (400, 404), wrong


@pytest.mark.slow
def test_a_killed_servers_job_is_taken_over_at_once(own):
    with talk(own) as client:
        job = begin(client, "train", **LONG)
        until(lambda: step_of(client, job) > 400, 60, "training")
    own.kill(signal.SIGKILL)
    killed, (training,) = time.monotonic(), [int(p) for p in attached(own)]
    own.start()
    with talk(own) as client:
        before = step_of(client, job)
        until(lambda: look(client, job)["state"] == "running", 5, "taken over")
        until(lambda: step_of(client, job) > before + 100, 60, "goes on")
        assert not os.path.exists(f"/proc/{training}") and look(client, job)["error"] is None
        client.delete(f"/v1/jobs/{job}")
        until(lambda: look(client, job)["state"] == "cancelled", 30, "cancelled")
    assert time.monotonic() - killed < 120


def attached(server) -> list[str]:
    """Numbers of the processes that train in a server's folder."""
    found = []
    for path in os.listdir("/proc"):
        if path.isdecimal():
            try:
                with open(f"/proc/{path}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace")
            except OSError:
                continue
            if VERB in words and str(server.folder) in words:
                found.append(path)
    return found


@pytest.mark.slow
def test_a_verdict_shows_its_closest_pairs(own):
    with talk(own, 120) as client:
        job = begin(client, "evaluate", model="codes", n=160)
        told = events(client, job)[-1]
        assert told["state"] == "succeeded", told
        assert client.get(f"/v1/jobs/{job}/report").json() == told["result"]
        assert str(own.folder) not in json.dumps(told)
        assert all("generated_item" not in pair for pair in told["result"]["copies"]["pairs"])
        pairs = client.get(f"/v1/jobs/{job}/pairs").json()["data"]
        assert len(pairs) == len(told["result"]["copies"]["pairs"]) > 0
        for pair in pairs:
            for side in ("generated_b64", "training_b64"):
                picture = Image.open(io.BytesIO(base64.b64decode(pair[side])))
                assert picture.format == "PNG" and picture.size == (8, 8)
            assert pair["distance"] >= 0 and pair["model"] == "codes"
        page = client.get(f"/v1/files/{told['result']['report_file']}/content")
        assert b"<html" in page.content


@pytest.mark.slow
def test_a_resumed_training_ends_as_one_that_was_never_stopped(own):
    body = {"data": "moons", "family": "vae", "steps": 1500, "settings": {"train.seed": 3}}
    with talk(own, 120) as client:
        job = begin(client, "train", **body, name="halted")
        until(lambda: step_of(client, job) > 60, 60, "training")
        client.delete(f"/v1/jobs/{job}")
        until(lambda: look(client, job)["finished"], 30, "stopped")
        assert look(client, job)["state"] == "cancelled"
        again = client.post(f"/v1/jobs/{job}/resume").json()["id"]
        whole = begin(client, "train", **body, name="whole")
        assert [events(client, one)[-1]["state"] for one in (again, whole)] == ["succeeded"] * 2
        ask = {"n": 4, "seed": 8}
        assert made(client, {"model": "halted", **ask}) == made(client, {"model": "whole", **ask})
        done = client.post(f"/v1/jobs/{again}/resume")
        assert done.status_code == 400 and done.json()["error"]["code"] == "not_resumable"
        assert client.get(f"/v1/jobs/{again}/curves").json()["seconds_left"] == 0
