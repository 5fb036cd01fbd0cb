"""The server beside its peers: tokens and pictures a second under many clients, and their waits.

Tokens: `transformers serve`, plain and with continuous batching, against ours; a Llama and our
decoder of equal size (10.7 M parameters within 2 %, 256 positions), a prompt of 16 characters and
64 new ones, sampled at temperature 1, by POST /v1/completions. Pictures: a diffusers pipeline
behind FastAPI (see `peers.diffusers_server`) against ours; one U-Net of 1.1 M parameters with the
same weights, 32x32x3, 16 evaluations (DDIM, Euler), one PNG a request. Beside both: our model in a
plain loop in this process, at the batch of the number of clients.

All servers are up, one is asked at a time, in rotated order; ratios are taken within a round. Then
each is asked alone: the time to the first piece that a reader sees (of a server that streams
nothing, the whole), how much later than usual a short request is answered right after a crowd of
long ones was given up, and the time from a start to the first answer. All weights are random.

    python -m benchmarks.serving_peers [--clients 16] [--each 4] [--only tokens]
"""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import Race, machine, report
from benchmarks.harness import parser as options
from benchmarks.peers.models import make_all
from benchmarks.peers.server import Clients, Server
from benchmarks.peers.sides import OURS, Side, Work, our_server, pictures_of, tokens_of
from genloom.memory import kept_pages

LOOP = "genloom, plain loop"
PEERS = ("transformers", "diffusers", "fastapi", "uvicorn", "httpx2")
LOOK_S = 2.0  # at what servers do while nobody asks them


def run(work: Work, clients: Clients, count: int, each: int, rounds: int) -> Race:
    """All rounds; latencies and processor time are among the facts."""
    names = [*work.sides, LOOP]
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    latencies: dict[str, list[float]] = {name: [] for name in work.sides}
    for i in range(rounds + 1):  # the first warms up
        print(f"{work.unit}: round {i} of {rounds}", file=sys.stderr)
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            if name == LOOP:
                done = loop(work, count, each, i)
            else:
                done = crowd(work, work.sides[name], clients, count, each, i)
            if i:
                wall[name].append(done["wall_s"])
                cpu[name].append(done["cpu_s"])
                if name != LOOP:
                    latencies[name] += done["latency_s"]
    items = count * each * work.items
    facts: dict[str, Any] = {
        "clients": count,
        "each": each,
        "rounds": rounds,
        "latency_ms": {name: spread(found) for name, found in latencies.items()},
        "cpu_ms_an_item": {
            name: 1000 * statistics.median(found) / items for name, found in cpu.items()
        },
    }
    return Race(wall, work.baseline, items, work.unit, "wall", facts)


def crowd(
    work: Work, side: Side, clients: Clients, count: int, each: int, turn: int
) -> dict[str, Any]:
    """One server's turn: every request is a new one."""
    before = side.server.cpu_s()
    order = side.order(count * each, work.length, first=turn * count * each)
    done = clients("whole", side.server, clients=count, **order)
    return {**done, "cpu_s": side.server.cpu_s() - before}


def loop(work: Work, count: int, each: int, turn: int) -> dict[str, Any]:
    """The same work in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    with kept_pages():
        for i in range(each):
            work.loop(count, (turn * each + i) * count)
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def spread(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    ms = [1000 * s for s in seconds]
    return {"median": statistics.median(ms), "p95": statistics.quantiles(ms, n=20)[-1]}


def over(race: Race) -> dict[str, dict[str, float]]:
    """How many times as much ours makes as each other side: over the rounds."""
    found = {}
    for name in race.seconds:
        if name != OURS:
            ratios = replace(race, baseline=name).ratios(OURS)
            found[name] = {
                "median": statistics.median(ratios),
                "low": min(ratios),
                "high": max(ratios),
            }
    return found


def waits(
    work: Work, clients: Clients, count: int, times: int, crowds: int
) -> dict[str, dict[str, float]]:
    """Each server alone: first piece, cancelled crowds, memory, restart."""
    found = {}
    for name, side in work.sides.items():
        first = clients("first", side.server, **side.order(times, work.length))["first_s"]
        order = side.order(count, work.long) | {"short": side.body(0, 1)}
        freed = [clients("freed", side.server, **order) for _ in range(crowds)]
        late = statistics.median(one["after_s"] - one["calm_s"] for one in freed)
        memory = side.server.resident_mb()
        side.server.end()
        found[name] = {
            "first_ms": 1000 * statistics.median(first),
            "cancel_to_free_ms": 1000 * late,
            "restart_s": side.server.start(),
            "resident_mb": memory,
        }
    return found


def idle(servers: Mapping[str, Server]) -> dict[str, float]:
    """Cores that each takes while nobody asks it."""
    time.sleep(LOOK_S)  # the last one may just have been started
    before = {name: server.cpu_s() for name, server in servers.items()}
    time.sleep(LOOK_S)
    return {name: (server.cpu_s() - before[name]) / LOOK_S for name, server in servers.items()}


def table(facts: Mapping[str, Any]) -> str:
    """What the table of rates does not show."""
    lines = [
        "| side | genloom serve makes, times as much | latency, ms: median | p95 | CPU ms an item "
        "| first piece, ms | cancel to free, ms | start to answer, s | memory, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, cpu in facts["cpu_ms_an_item"].items():
        ratio = facts["over"].get(name)
        shown = f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})" if ratio else "-"
        latency = facts["latency_ms"].get(name, {})
        more = [*(latency.get(key) for key in ("median", "p95")), cpu]
        more += [*facts["waits"].get(name, dict.fromkeys(range(4))).values()]
        cells = ["-" if value is None else f"{value:.4g}" for value in more]
        lines.append(f"| {' | '.join([name, shown, *cells])} |")
    return "\n".join(lines)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--each", type=int, default=4, help="requests of each client in a round")
    parser.add_argument("--times", type=int, default=20, help="first pieces that are waited for")
    parser.add_argument("--crowds", type=int, default=3, help="crowds that give up")
    parser.add_argument("--only", choices=("tokens", "pictures"))
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are ended then, too
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as at, ExitStack() as stack:
        folder = Path(at)
        paths, sizes = make_all(folder)
        ours = our_server(paths, folder, given.threads)
        makers = {"tokens": tokens_of, "pictures": pictures_of}
        works = {
            unit: make(paths, ours, given.threads)
            for unit, make in makers.items()
            if given.only in (None, unit)
        }
        servers = {
            name: side.server for work in works.values() for name, side in work.sides.items()
        }
        for name, server in servers.items():
            stack.callback(server.end)
            print(f"{name}: answers after {server.start():.1f} s", file=sys.stderr)
        clients = stack.enter_context(Clients())
        for unit, work in works.items():
            resting = idle(servers)
            race = run(work, clients, given.clients, given.each, given.rounds)
            print(race, file=sys.stderr)  # what follows takes minutes
            race.facts |= {
                "benchmark": "serving_peers",
                "threads": given.threads,
                "parameters": sizes,
                "versions": {peer: version(peer) for peer in PEERS},
                "idle_cores": resting,
                "over": over(race),
                "waits": waits(work, clients, given.clients, given.times, given.crowds),
            }
            report(
                f"Served {unit}, {given.clients} clients, {machine()['machine']}", race, given.json
            )
            print(f"\n{table(race.facts)}", flush=True)


if __name__ == "__main__":
    main()
