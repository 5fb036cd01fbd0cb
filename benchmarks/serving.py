"""The server against the library: what HTTP, records and the queue cost, on small models.

Five tables' worth of figures: (1) one small request against `Artifact.sample` in this process,
with each answer recorded and on the disk; (2) digits a second and (3) tokens a second of 16 clients
that ask for one item at a time, against a plain loop of 64 at a time; (4) the latency that each of
the 16 sees; (5) the time to the first token, to the first preview, and from a start to readiness.
The weights are random: no figure depends on what they say.

    python -m benchmarks.serving [--clients 16] [--marks]
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import torch
from tests.e2e.server import Server, make_models, serving

from benchmarks.harness import machine
from benchmarks.harness import parser as options
from genloom import artifact

POINT = {"model": "moons", "n": 1}
DIGIT = {"model": "digits", "n": 1, "options": {"steps": 8}}
TEXT = {"model": "words", "n": 1}
LETTERS = 32  # of each text


def seconds(work: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def post(client: httpx2.Client, body: Mapping[str, Any]) -> None:
    """One request, which must succeed."""
    client.post("/v1/generations", json=body).raise_for_status()


def overhead(client: httpx2.Client, folder: Path, count: int) -> dict[str, float]:
    """Milliseconds of one small request, of the same in this process, and between them."""
    model = artifact.load(folder, device="cpu")
    there, here = [], []
    for i in range(-10, count):  # the first ten warm up
        taken = seconds(partial(post, client, {**POINT, "seed": i + 10}))
        alone = seconds(partial(model.sample, 1, seed=i + 10))
        if i >= 0:
            there.append(1000 * taken)
            here.append(1000 * alone)
    return {
        "request_ms": statistics.median(there),
        "request_p95_ms": statistics.quantiles(there, n=20)[-1],
        "sample_ms": statistics.median(here),
        "overhead_ms": statistics.median(a - b for a, b in zip(there, here, strict=True)),
    }


def crowd(client: httpx2.Client, body: Mapping[str, Any], clients: int, each: int) -> list[float]:
    """The wall time of all requests, then each one's latency, in seconds."""

    def one(first: int) -> list[float]:
        asked = ({**body, "seed": first + i} for i in range(each))
        return [seconds(partial(post, client, body)) for body in asked]

    with ThreadPoolExecutor(clients) as many:
        start = time.perf_counter()
        found = list(many.map(one, range(0, clients * each, each)))
        total = time.perf_counter() - start
    return [total, *(latency for row in found for latency in row)]


def throughput(
    client: httpx2.Client,
    folder: Path,
    body: Mapping[str, Any],
    *,
    clients: int,
    rounds: int,
    items: int,
) -> dict[str, float]:
    """Items a second through HTTP and in a plain loop, in turn; latencies; the median ratio."""
    model = artifact.load(folder, device="cpu")
    given = body.get("options", {})
    served, plain, latencies = [], [], []
    crowd(client, body, clients, 2)
    model.sample(64, seed=0, **given)
    for i in range(rounds):
        total, *found = crowd(client, body, clients, 8)
        served.append(items * len(found) / total)
        latencies += found
        plain.append(64 * items / seconds(partial(model.sample, 64, seed=i, **given)))
    return {
        "served": statistics.median(served),
        "plain": statistics.median(plain),
        "ratio": statistics.median(a / b for a, b in zip(served, plain, strict=True)),
        "latency_ms": 1000 * statistics.median(latencies),
        "latency_p95_ms": 1000 * statistics.quantiles(latencies, n=20)[-1],
    }


def first_event(client: httpx2.Client, body: Mapping[str, Any], count: int) -> float:
    """Milliseconds from a request to its first streamed event, the median."""

    def once(seed: int) -> None:
        asked = {**body, "seed": seed, "stream": True}
        with client.stream("POST", "/v1/generations", json=asked) as answer:
            next(line for line in answer.iter_lines() if line.startswith("data: "))

    return 1000 * statistics.median(seconds(partial(once, seed)) for seed in range(count))


def restart(server: Server) -> float:
    """Seconds from the start of a server that was there before until it has made a sample."""
    server.kill()
    return seconds(server.start)


def figures(server: Server, models: Mapping[str, Path], clients: int, rounds: int) -> dict:
    """All of them."""
    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    with httpx2.Client(base_url=server.url, timeout=60, limits=limits) as client:
        asked = {"clients": clients, "rounds": rounds}
        found: dict[str, Any] = {
            "one point": overhead(client, models["moons"], 100),
            "digits": throughput(client, models["digits"], DIGIT, items=1, **asked),
            "tokens": throughput(client, models["words"], TEXT, items=LETTERS, **asked),
            "first": {
                "token_ms": first_event(client, TEXT, 20),
                "preview_ms": first_event(client, {**DIGIT, "previews": 7}, 20),
            },
        }
    found["restart"] = {"ready_s": restart(server)}
    return found


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--marks", action="store_true", help="labels and signatures on pictures")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    plain = [] if given.marks else ["--no-sign", "--no-labels"]
    with tempfile.TemporaryDirectory() as folder:
        models = make_models(Path(folder))
        more = ("--threads", str(given.threads), *plain)
        with serving(Path(folder) / "state", models, *more) as server:
            found = figures(server, models, given.clients, given.rounds)
    print("| figure | value |\n|---|---|")
    for name, values in found.items():
        for what, value in values.items():
            print(f"| {name}: {what} | {value:.4g} |")
    line = {"benchmark": "serving", "clients": given.clients, "threads": given.threads}
    text = json.dumps({**line, "marks": given.marks, **found, **machine()})
    print(f"\n{text}", flush=True)
    if given.json is not None:
        with given.json.open("a") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
