"""Jobs: long work that ends exactly once, whatever becomes of the server and its workers."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.e2e.asking import children, content, events, figure, look, made, talk, until
from tests.e2e.server import serving

WORKER, VERB = "genloom.serve.engine.worker", "genloom.serve.attached"


PLAIN = ("--no-sign", "--no-labels", "--threads", "1")


@pytest.fixture(scope="module")
def quick(tmp_path_factory, served_models):
    """A server that signs nothing, which takes longer than these samples."""
    with serving(tmp_path_factory.mktemp("quick") / "state", served_models, *PLAIN) as started:
        yield started


@pytest.fixture
def own(tmp_path, served_models):
    """A server for one test, which may kill it."""
    with serving(tmp_path / "state", served_models, *PLAIN) as started:
        yield started


def begin(client, kind: str, **body: Any) -> str:
    answer = client.post("/v1/jobs", json={"kind": kind, "body": body})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def test_a_job_of_samples_makes_them_all_in_order(quick):
    with talk(quick) as client:
        job = begin(client, "sample", model="digits", n=70, seed=900, options={"steps": 500})
        told = events(client, job)
        states = [one["state"] for one in told]
        assert states == sorted(states, key=["queued", "running", "succeeded"].index)
        progress = [one["progress"] for one in told]
        assert progress == sorted(progress) and progress[-1] == 1
        assert any(0 < share < 1 for share in progress)
        result = told[-1]["result"]
        assert len(set(result["outputs"])) == 70
        records = [client.get(f"/v1/outputs/{one}").json() for one in result["outputs"]]
        assert [record["seed"] for record in records] == list(range(900, 970))
        one = {"model": "digits", "seed": 969, "options": {"steps": 500}}
        assert content(client, records[-1]["url"]) == made(client, one)[0]
        assert look(client, job) == told[-1]


def test_a_cancelled_job_frees_the_worker(quick):
    with talk(quick) as client:
        job = begin(client, "sample", model="digits", n=2000, options={"steps": 1000})
        until(lambda: figure(client, "genloom_requests_running") == 1, 5, "running")
        assert client.delete(f"/v1/jobs/{job}").status_code == 200
        until(lambda: look(client, job)["state"] == "cancelled", 2, "cancelled")
        until(lambda: figure(client, "genloom_requests_running") == 0, 1, "freed")
        assert events(client, job)[-1]["state"] == "cancelled"


def test_a_job_that_waits_is_cancelled_at_once(quick):
    with talk(quick) as client:
        first = begin(client, "sample", model="digits", n=2000, options={"steps": 1000})
        until(lambda: look(client, first)["state"] == "running", 5, "running")
        second = begin(client, "sample", model="moons", n=1)
        assert look(client, second)["state"] == "queued"
        assert client.delete(f"/v1/jobs/{second}").json()["state"] == "cancelled"
        client.delete(f"/v1/jobs/{first}")
        until(lambda: look(client, first)["finished"], 3, "cancelled")
        assert look(client, second)["started"] is None


@pytest.mark.parametrize(
    ("kind", "body", "param"),
    [
        ("paint", {}, "kind"),
        ("sample", {"model": "digits"}, "n"),
        ("sample", {"model": "digits", "n": 0}, "n"),
        ("sample", {"model": "digits", "n": 10**9}, "n"),
        ("sample", {"model": "digits", "n": "7"}, "n"),
        ("sample", {"model": "digits", "n": True}, "n"),
        ("sample", {"model": ["digits"], "n": 1}, "model"),
        ("sample", {"model": "digits", "n": 1, "seed": -1}, "seed"),
        ("sample", {"model": "digits", "n": 9, "seed": 2**62 - 1}, "seed"),
        ("sample", {"model": "digits", "n": 1, "label": "ten"}, "label"),
        ("sample", {"model": "digits", "n": 1, "label": ["1"]}, "label.str"),
        ("sample", {"model": "digits", "n": 1, "format": ["png"]}, "format"),
        ("sample", {"model": "digits", "n": 1, "format": "tiff"}, "format"),
        ("sample", {"model": "digits", "n": 1, "options": [1]}, "options"),
        ("sample", {"model": "digits", "n": 1, "options": {"steps": 2000}}, None),
        ("sample", {"model": "words", "n": 1, "prompt": 5}, "prompt"),
        ("sample", {"model": "digits", "n": 1, "colour": "red"}, "colour"),
        ("train", {"data": "moons", "family": "vae", "minutes": 1}, "name"),
        ("train", {"data": "moons", "family": "vae", "name": "../a", "minutes": 1}, "name"),
        ("train", {"data": "moons", "family": "vae", "name": "moons", "minutes": 1}, "name"),
        ("train", {"data": "moons", "family": "va", "name": "a", "minutes": 1}, "family"),
        ("train", {"data": "moons", "family": "vae", "name": "a", "minutes": 0}, "minutes"),
        ("train", {"data": 5, "family": "vae", "name": "a", "minutes": 1}, "data"),
        ("evaluate", {"model": "moons", "n": "many"}, "n"),
        ("evaluate", {"models": "moons"}, "models"),
        ("compare", {}, "model"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused_before_it_waits(quick, kind, body, param):
    with talk(quick) as client:
        answer = client.post("/v1/jobs", json={"kind": kind, "body": body})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_another_models_name_is_not_found(quick):
    with talk(quick) as client:
        answer = client.post("/v1/jobs", json={"kind": "sample", "body": {"model": "x", "n": 1}})
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "model_not_found"


def test_a_killed_worker_is_not_the_end_of_a_job(quick):
    with talk(quick) as client:
        job = begin(client, "sample", model="digits", n=64, seed=5, options={"steps": 300})
        until(lambda: look(client, job)["progress"] >= 0.5, 60, "half")
        (worker,) = children(quick, WORKER)
        os.kill(worker, signal.SIGKILL)
        until(lambda: look(client, job)["finished"], 40, "finished")
        ended = look(client, job)
        assert (ended["state"], len(set(ended["result"]["outputs"]))) == ("succeeded", 64)
        until(lambda: figure(client, "genloom_deaths_total") >= 1, 10, "the death was noticed")
        assert figure(client, "genloom_deaths_total") == 1


@pytest.mark.slow
def test_jobs_outlive_a_killed_server_in_their_order(own):
    with talk(own) as client:
        running = begin(client, "sample", model="digits", n=64, seed=5, options={"steps": 200})
        queue = [begin(client, "sample", model="moons", n=2, seed=i) for i in range(4)]
        gone = queue.pop(1)
        client.delete(f"/v1/jobs/{gone}")
        until(lambda: figure(client, "genloom_requests_running") == 1, 5, "running")
        ahead = [look(client, job)["ahead"] for job in queue]
        assert ahead == [0, 1, 2]
    own.kill(signal.SIGKILL)
    own.start()
    with talk(own, 120) as client:
        listed = client.get("/v1/jobs").json()["data"]
        assert [job["id"] for job in listed] == [*queue[::-1][:2], gone, queue[0], running]
        told = events(client, running)
        assert [one["state"] for one in told if one["finished"]] == ["succeeded"]
        assert len(set(told[-1]["result"]["outputs"])) == 64
        ends = [events(client, job)[-1] for job in queue]
        assert [job["state"] for job in ends] == ["succeeded"] * 3
        assert [job["started"] for job in ends] == sorted(job["started"] for job in ends)
        assert look(client, gone)["state"] == "cancelled"
        assert look(client, running) == told[-1]


@pytest.mark.slow
def test_a_trained_model_is_served_judged_and_still_there_after_a_restart(own):
    with talk(own, 120) as client:
        job = begin(client, "train", data="moons", family="vae", name="mine", minutes=0.05)
        told = events(client, job)
        assert told[-1]["state"] == "succeeded", told[-1]
        assert told[-1]["result"]["model"] == "mine" and told[-1]["result"]["steps"] > 10
        names = [model["id"] for model in client.get("/v1/models").json()["data"]]
        assert names == ["digits", "codes", "words", "moons", "mine"]
        points = made(client, {"model": "mine", "n": 3, "seed": 8})
        assert all(len(point) == 2 for point in points)
        refused = events(client, begin(client, "evaluate", model="mine", n=8))[-1]
        assert refused["state"] == "failed" and "n = 8" in refused["error"]
        again = {"data": "moons", "family": "vae", "name": "mine", "minutes": 1}
        assert client.post("/v1/jobs", json={"kind": "train", "body": again}).status_code == 400
    assert own.kill() == 0
    own.start()
    with talk(own) as client:
        assert made(client, {"model": "mine", "n": 3, "seed": 8}) == points


@pytest.mark.slow
def test_a_training_whose_server_was_killed_goes_on_where_it_was(own):
    with talk(own) as client:
        job = begin(client, "train", data="moons", family="vae", name="mine", minutes=0.3)
        until(lambda: look(client, job)["progress"] > 0.1, 40, "training")
        (training,) = children(own, VERB)
    own.kill(signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{training}"), 15, "the training has stopped")
    own.start()
    with talk(own, 120) as client:
        told = events(client, job)
        assert [one["state"] for one in told if one["finished"]] == ["succeeded"], told[-1]
        assert 15 < told[-1]["result"]["seconds"] < 40
        assert len(made(client, {"model": "mine", "n": 2, "seed": 1})) == 2
