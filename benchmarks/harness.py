"""Races: two or more ways of doing the same work, interleaved.

Each round runs every side once, in rotated order; a ratio is taken within a round, and the median
over the rounds is what is reported, so that other work on the machine hits all sides alike. The CPU
clock (of the side's process, all its threads) is the default: it is the only honest one where cores
are shared.

All sides run in one process, or with `apart` each in a process of its own, which is how their users
run them: there our side keeps freed memory (`genloom.memory`), as the trainer does, and theirs has
what the C library does by itself. In one process both sides have the latter.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from genloom.memory import kept_pages

Clock = Literal["cpu", "wall"]
CLOCKS: dict[str, Callable[[], float]] = {"cpu": time.process_time, "wall": time.perf_counter}


@dataclass
class Race:
    """Seconds of each side in each round.

    Args:
        seconds: Side -> one number a round.
        baseline: The side that has ratio 1.
        items: Work done by one call of a side.
        unit: What an item is.
        facts: What else belongs to the figure: seeds, shapes, versions.
    """

    seconds: dict[str, list[float]]
    baseline: str
    items: float
    unit: str
    clock: Clock
    facts: dict[str, Any] = field(default_factory=dict)

    def rates(self, side: str) -> list[float]:
        """Items a second in each round."""
        return [self.items / s for s in self.seconds[side]]

    def ratios(self, side: str) -> list[float]:
        """How many times faster than the baseline, in each round."""
        return [b / s for b, s in zip(self.seconds[self.baseline], self.seconds[side], strict=True)]

    def ratio(self, side: str) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios(side))

    def __str__(self) -> str:
        lines = [
            f"| side | {self.unit}/s median | min | max | ratio (median of rounds) | ratio range |",
            "|---|---|---|---|---|---|",
        ]
        for side in self.seconds:
            rates, ratios = self.rates(side), self.ratios(side)
            numbers = (statistics.median(rates), min(rates), max(rates))
            shown = " | ".join(f"{n:.4g}" for n in numbers)
            span = f"{min(ratios):.2f}-{max(ratios):.2f}"
            lines.append(f"| {side} | {shown} | {statistics.median(ratios):.2f} | {span} |")
        return "\n".join(lines)

    def json(self) -> str:
        """One line: every figure, the machine, the commit."""
        sides = {
            side: {
                "rate": statistics.median(self.rates(side)),
                "ratio": self.ratio(side),
                "seconds": self.seconds[side],
            }
            for side in self.seconds
        }
        about = {"unit": self.unit, "clock": self.clock, "baseline": self.baseline, **self.facts}
        return json.dumps({**about, "sides": sides, **machine()})


def race(
    sides: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 9,
    items: float = 1,
    baseline: str,
    unit: str = "items",
    clock: Clock = "cpu",
    warmup: int = 1,
    **facts: Any,
) -> Race:
    """Time all sides, interleaved.

    Args:
        sides: Name -> a call that does the whole piece of work once.
        rounds: How often each side runs.
        items: Work done by one call.
        baseline: Name of the side that the others are compared with.
        unit: What an item is.
        clock: CPU time of this process, or wall time.
        warmup: Calls of each side before the first round.
        facts: Kept with the result: seeds, shapes, versions of peers.
    """
    timers = {name: _Here(side, clock) for name, side in sides.items()}
    return _race(timers, rounds, items, baseline, unit, clock, warmup, facts)


def contest(
    makers: Mapping[str, Callable[[], Callable[[], Any]]],
    *,
    apart: bool,
    rounds: int = 9,
    items: float = 1,
    baseline: str,
    unit: str = "items",
    clock: Clock = "cpu",
    warmup: int = 1,
    **facts: Any,
) -> Race:
    """Time sides that are yet to be made, in one process or each in its own; else as `race`.

    Args:
        makers: Name -> what makes the side; with `apart` it must be picklable. Sides whose name
            begins with "genloom" keep their memory there.
        apart: Each side in a process of its own. They still take turns.
        rounds: See `race`, like all that follows.
        items: Work done by one call.
        baseline: The side that the others are compared with.
        unit: What an item is.
        clock: Of the side's process, or wall time.
        warmup: Calls of each side before the first round.
        facts: Kept with the result.
    """
    facts["apart"] = apart
    with ExitStack() as stack:
        timers: dict[str, Any] = {}
        for name, make in makers.items():
            there = _There(make, clock, torch.get_num_threads(), name.startswith("genloom"))
            timers[name] = stack.enter_context(there) if apart else _Here(make(), clock)
        return _race(timers, rounds, items, baseline, unit, clock, warmup, facts)


def _race(
    timers: Mapping[str, Callable[[], float]],
    rounds: int,
    items: float,
    baseline: str,
    unit: str,
    clock: Clock,
    warmup: int,
    facts: dict[str, Any],
) -> Race:
    names = list(timers)
    for name in names * warmup:
        timers[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(timers[name]())
    facts = {"rounds": rounds, "threads": torch.get_num_threads(), **facts}
    return Race(seconds, baseline, items, unit, clock, facts)


@dataclass
class _Here:
    """A side in this process; a call runs it and gives its seconds."""

    side: Callable[[], Any]
    clock: Clock

    def __call__(self) -> float:
        start = CLOCKS[self.clock]()
        self.side()
        return CLOCKS[self.clock]() - start


class _There:
    """A side in a process of its own; a call has it run once, and gives its seconds."""

    def __init__(self, make: Callable[[], Any], clock: Clock, threads: int, keeping: bool):
        context = multiprocessing.get_context("spawn")
        self.wire, other = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(make, clock, threads, keeping, other), daemon=True
        )

    def __enter__(self) -> _There:
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.send(False)
        self.process.join()

    def __call__(self) -> float:
        self.wire.send(True)
        while not self.wire.poll(1.0):
            assert self.process.is_alive(), "a side died; its error stands above"
        return self.wire.recv()


def _serve(make: Callable[[], Any], clock: Clock, threads: int, keeping: bool, wire: Any) -> None:
    torch.set_num_threads(threads)
    with ExitStack() as stack:
        if keeping:
            stack.enter_context(kept_pages())
        here = _Here(make(), clock)
        while wire.recv():
            wire.send(here())


def machine() -> dict[str, Any]:
    """What a figure depends on: processor, cores, versions, commit, load, date."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "date": time.strftime("%Y-%m-%d"),
    }


def report(title: str, result: Race, path: Path | None = None) -> None:
    """Print the table and the JSON line; append the line to `path` where given."""
    print(f"\n{title}\n\n{result}\n\n{result.json()}", flush=True)
    if path is not None:
        with path.open("a") as file:
            file.write(result.json() + "\n")


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all races have."""
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--rounds", type=int, default=9)
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--clock", choices=sorted(CLOCKS), default="cpu")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument(
        "--apart", action="store_true", help="each side in a process of its own, as users run it"
    )
    found.add_argument("--json", type=Path, help="append the JSON line to this file")
    return found


def chosen(given: argparse.Namespace) -> dict[str, Any]:
    """What all races take of those options; the seed is a fact."""
    return {name: getattr(given, name) for name in ("apart", "rounds", "clock", "seed")}


def arguments(description: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read them, and set the number of threads."""
    found = parser(description).parse_args(argv)
    torch.set_num_threads(found.threads)
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
