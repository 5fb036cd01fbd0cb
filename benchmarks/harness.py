"""Races: two or more ways of doing the same work, interleaved in one process.

Each round runs every side once, in rotated order; a ratio is taken within a round, and the median
over the rounds is what is reported, so that other work on the machine hits all sides alike. The CPU
clock (of this process, all its threads) is the default: it is the only honest one where cores are
shared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

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
    tick, names = CLOCKS[clock], list(sides)
    for name in names * warmup:
        sides[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            start = tick()
            sides[name]()
            seconds[name].append(tick() - start)
    facts = {"rounds": rounds, "threads": torch.get_num_threads(), **facts}
    return Race(seconds, baseline, items, unit, clock, facts)


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
    found.add_argument("--json", type=Path, help="append the JSON line to this file")
    return found


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
