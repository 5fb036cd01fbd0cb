"""A long day in a minute: mixed requests while workers and the server are killed."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.e2e.asking import (
    children,
    content,
    events,
    figure,
    look,
    made,
    mixed,
    resident,
    talk,
    until,
)
from tests.e2e.server import Server, serving

WORKER = "genloom.serve.engine.worker"
PLAIN = ("--no-sign", "--no-labels", "--threads", "1")
KINDS, COUNT, CALLERS = 40, 250, 8
JOBS: list[dict[str, Any]] = [
    {"model": "digits", "n": 64, "options": {"steps": 100}},
    *({"model": "moons", "n": 40 + i} for i in range(5)),
]


def stubborn(client: httpx2.Client, body: dict[str, Any]) -> list[Any]:
    """As `made`, but sent again when the server says that it may be."""
    for _ in range(10):
        answer = client.post("/v1/generations", json=body)
        if answer.status_code != 503:
            break
        time.sleep(min(1.0, float(answer.headers["retry-after"])))
    assert answer.status_code == 200, answer.text
    return [content(client, one["url"]) for one in answer.json()["data"]]


def half(
    server: Server, client: httpx2.Client, right: list[list[Any]], kills: tuple[int, ...] = ()
) -> list[int]:
    """COUNT requests from many callers, each answer compared; memory after 100 and at the end."""
    asked, memory = mixed(KINDS), []
    with ThreadPoolExecutor(CALLERS) as many:
        futures = [many.submit(stubborn, client, asked[i % KINDS]) for i in range(COUNT)]
        for i, future in enumerate(futures):
            assert future.result() == right[i % KINDS], f"answer {i} is that of another request"
            if i in kills:
                (worker,) = children(server, WORKER)
                os.kill(worker, signal.SIGKILL)
            if i + 1 in (100, COUNT):
                memory.append(resident(server, WORKER))
    return memory


@pytest.mark.slow
def test_500_requests_two_dead_workers_and_a_dead_server(tmp_path, served_models):
    with serving(tmp_path / "state", served_models, *PLAIN) as server:
        with talk(server, 120) as client:
            right = [made(client, body) for body in mixed(KINDS)]
            half(server, client, right, kills=(80, 160))
            assert figure(client, "genloom_deaths_total") == 2
            jobs = [
                client.post("/v1/jobs", json={"kind": "sample", "body": body}).json()["id"]
                for body in JOBS
            ]
            until(lambda: look(client, jobs[0])["state"] == "running", 5, "running")
        server.kill(signal.SIGKILL)
        server.start()
        with talk(server, 120) as client:
            after_100, last = half(server, client, right)
            for job, body in zip(jobs, JOBS, strict=True):
                told = events(client, job)
                assert [one["state"] for one in told if one["finished"]] == ["succeeded"]
                assert len(set(told[-1]["result"]["outputs"])) == body["n"]
            assert figure(client, "genloom_requests_running") == 0
            assert figure(client, "genloom_requests_waiting") == 0
        assert last < 1.05 * after_100, f"{after_100 / 2**20:.0f} MiB, then {last / 2**20:.0f}"
