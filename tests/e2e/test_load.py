"""Many at once, callers who leave, full queues, killed workers, and an orderly end."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.e2e.asking import LONG, children, figure, made, mixed, talk, until
from tests.e2e.server import serving

WORKER = "genloom.serve.engine.worker"
STEP_S = 1.5  # a step of LONG takes 0.03 s on an idle machine; the tests' machine is not


@pytest.fixture(scope="module")
def narrow(tmp_path_factory, served_models):
    """A server that takes two requests at once."""
    folder = tmp_path_factory.mktemp("narrow") / "state"
    with serving(
        folder, served_models, "--waiting", "2", "--no-sign", "--no-labels", "--threads", "1"
    ) as started:
        yield started


def test_32_at_once_get_what_they_get_one_by_one(server):
    asked = mixed(32)
    with talk(server) as client, ThreadPoolExecutor(32) as many:
        alone = [made(client, body) for body in asked]
        together = list(many.map(lambda body: made(client, body), asked))
    assert together == alone
    assert len({repr(found) for found in alone}) == 32


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"stream": True, "previews": 4}])
def test_a_caller_who_leaves_frees_the_worker_within_a_step(server, more):
    with talk(server) as client:
        assert figure(client, "genloom_requests_running") == 0
        with (
            pytest.raises(httpx2.ReadTimeout),
            client.stream("POST", "/v1/generations", json=LONG | more, timeout=1.5) as answer,
        ):
            assert figure(client, "genloom_requests_running") == 1
            answer.read()
        until(lambda: figure(client, "genloom_requests_running") == 0, STEP_S, "freed")
        assert len(made(client, {"model": "moons", "seed": 1})) == 1


def test_who_leaves_after_a_preview_frees_the_worker_too(server):
    with talk(server) as client:
        body = LONG | {"stream": True, "previews": 16, "options": {"steps": 200}}
        with client.stream("POST", "/v1/generations", json=body) as answer:
            lines = answer.iter_lines()  # held: an iterator that is dropped hangs up
            assert next(lines) == "event: generation.preview"
            assert figure(client, "genloom_requests_running") == 1
        until(lambda: figure(client, "genloom_requests_running") == 0, STEP_S, "freed")


def test_a_full_queue_refuses_and_says_when_to_come_back(narrow):
    with talk(narrow) as client, ThreadPoolExecutor(2) as others:
        for held in (1, 2):
            others.submit(client.post, "/v1/generations", json=LONG, timeout=3)
            until(lambda held=held: figure(client, "genloom_requests_running") == held, 2, "held")
        answer = client.post("/v1/generations", json={"model": "moons"})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["code"] == "queue_full"
        assert figure(client, "genloom_rejected_total") == 1
        until(lambda: figure(client, "genloom_requests_running") == 0, 3 + STEP_S, "freed")
        assert client.post("/v1/generations", json={"model": "moons"}).status_code == 200


def test_a_killed_worker_costs_503_and_seconds(narrow):
    with talk(narrow) as client, ThreadPoolExecutor(1) as other:
        whole = other.submit(client.post, "/v1/generations", json=LONG)
        until(lambda: figure(client, "genloom_requests_running") == 1, 5, "running")
        (worker,) = children(narrow, WORKER)
        os.kill(worker, signal.SIGKILL)
        killed = time.monotonic()
        answer = whole.result()
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["code"] == "unavailable"
        assert client.get("/readyz").status_code == 503
        again = client.post("/v1/generations", json={"model": "moons", "seed": 3})
        assert again.status_code == 200 and time.monotonic() - killed < 10
        until(lambda: client.get("/readyz").status_code == 200, 5, "ready")
        assert figure(client, "genloom_deaths_total") == 1


def test_a_killed_worker_ends_a_stream_with_an_error(narrow):
    body = LONG | {"stream": True, "previews": 16, "n": 4}
    with talk(narrow) as client, client.stream("POST", "/v1/generations", json=body) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: generation.preview"
        (worker,) = children(narrow, WORKER)
        os.kill(worker, signal.SIGKILL)
        rest = list(lines)
    at = rest.index("event: error")
    assert json.loads(rest[at + 1].removeprefix("data: "))["error"]["code"] == "unavailable"
    assert rest[-2:] == ["data: [DONE]", ""]


def test_sigterm_lets_what_runs_end_and_takes_no_more(narrow):
    body = {"model": "digits", "n": 8, "seed": 5, "options": {"steps": 30}}
    with talk(narrow) as client, ThreadPoolExecutor(2) as other:
        wanted = client.post("/v1/generations", json=body).json()["data"]
        running = other.submit(client.post, "/v1/generations", json=body)
        until(lambda: figure(client, "genloom_requests_running") == 1, 5, "running")
        ended = other.submit(narrow.kill, signal.SIGTERM)
        answer = running.result()
        assert answer.status_code == 200
        assert [one["seed"] for one in answer.json()["data"]] == [one["seed"] for one in wanted]
        assert ended.result() == 0
    with talk(narrow) as client, pytest.raises(httpx2.ConnectError):
        client.get("/healthz")
    narrow.start()
    with talk(narrow) as client:  # what it had given out is still there
        for one in (*wanted, *answer.json()["data"]):
            assert client.get(one["url"]).status_code == 200
