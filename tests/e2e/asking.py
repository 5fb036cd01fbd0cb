"""What tests ask of a running server, and how they look at it from outside."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image

from tests.e2e.server import Server

LONG = {  # half a minute of work for an idle machine, in steps of 0.03 s
    "model": "digits",
    "n": 64,
    "seed": 1,
    "options": {"steps": 1000, "solver": "heun"},
}


def talk(server: Server, timeout_s: float = 60) -> httpx2.Client:
    """A client that keeps its connections; threads may share it."""
    limits = httpx2.Limits(max_connections=100)
    return httpx2.Client(base_url=server.url, timeout=timeout_s, limits=limits)


def made(client: httpx2.Client, body: dict[str, Any]) -> list[Any]:
    """What a generation gives, without marks and times: pixels, values or text, of each item."""
    answer = client.post("/v1/generations", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    first = body["seed"]
    assert [one["seed"] for one in told] == [first + i for i in range(body.get("n", 1))]
    return [content(client, one["url"]) for one in told]


def content(client: httpx2.Client, url: str) -> Any:
    """An output's pixels, values or text."""
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    kind = answer.headers["content-type"]
    if kind.startswith("image/"):
        return Image.open(io.BytesIO(answer.content)).tobytes()
    return json.loads(answer.content)["values"] if "json" in kind else answer.text


def figure(client: httpx2.Client, name: str) -> float:
    """One figure of /metrics."""
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))


def until(true: Callable[[], Any], limit_s: float, what: str) -> float:
    """Wait until something is true; the seconds that it took."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < limit_s, f"{what}: not within {limit_s} s"
        time.sleep(0.02)
    return time.monotonic() - start


def children(server: Server, module: str) -> list[int]:
    """Processes that the server started to run a module."""
    assert server.process is not None
    pid = server.process.pid
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue  # it has just ended
        if module in command:
            found.append(int(child))
    return found


def resident(server: Server, module: str) -> int:
    """Bytes that the server and its processes of a module hold now."""
    assert server.process is not None
    pids = [server.process.pid, *children(server, module)]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGESIZE")


def look(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    """A job as it stands."""
    answer = client.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def events(client: httpx2.Client, job_id: str) -> list[dict[str, Any]]:
    """All that a job's stream of events tells, until it ends by itself."""
    found = []
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                found.append(json.loads(line.removeprefix("data: ")))
    return found


def mixed(count: int) -> list[dict[str, Any]]:
    """Requests of which no two are alike."""
    kinds: list[dict[str, Any]] = [
        {"model": "digits", "options": {"steps": 2, "solver": "heun"}, "label": 3},
        {"model": "digits", "options": {"steps": 4, "guidance": 2.0}, "label": "7", "n": 2},
        {"model": "digits", "options": {"steps": 4}, "format": "webp"},
        {"model": "codes", "n": 3},
        {"model": "words", "options": {"temperature": 0.8}},
        {"model": "words", "prompt": "the loom ", "n": 2},
        {"model": "moons", "n": 2},
        {"model": "moons", "label": 1},
    ]
    return [{**kinds[i % len(kinds)], "seed": 100 * i} for i in range(count)]
