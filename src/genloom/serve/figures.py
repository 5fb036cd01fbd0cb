"""Counts for /metrics, kept as they happen."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import final

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ROWS = (1, 2, 4, 8, 16, 32, 64)


@final
class Histogram:
    """How often a value fell into each bucket, and the sum of all, by name.

    Args:
        edges: Upper ends of the buckets, rising; a last one has no end.
    """

    def __init__(self, edges: Sequence[float]):
        self.edges = edges
        self.counts: dict[str, list[int]] = {}
        self.sums: dict[str, float] = {}

    def add(self, name: str, value: float) -> None:
        """One more."""
        counts = self.counts.setdefault(name, [0] * (len(self.edges) + 1))
        counts[bisect_left(self.edges, value)] += 1
        self.sums[name] = self.sums.get(name, 0.0) + value

    def cumulated(self, name: str) -> list[tuple[str, float]]:
        """As Prometheus wants it: (upper end, how many up to it)."""
        ends = [*map(str, self.edges), "+Inf"]
        return list(zip(ends, map(float, accumulate(self.counts[name])), strict=True))


@final
class Figures:
    """What the server has done since its start.

    Args of the counts are names of routes, which hold no id, and names of models.
    """

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()  # (route, status)
        self.seconds = Histogram(SECONDS)  # route: until the end of an answer
        self.model_seconds = Histogram(SECONDS)  # model: until its samples were recorded
        self.model_rows = Histogram(ROWS)  # model: samples that were made together
        self.model_rejected: Counter[str] = Counter()  # model: requests that a full queue refused

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One more answer."""
        self.answers[route, status] += 1
        self.seconds.add(route, seconds)
