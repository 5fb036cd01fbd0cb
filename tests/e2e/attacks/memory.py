"""What a server has spent: memory, and its own seconds, which a busy machine does not stretch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psutil

from tests.e2e.server import Server


def resident(server: Server) -> int:
    """Bytes that the server's own process has in memory."""
    assert server.process is not None
    return psutil.Process(server.process.pid).memory_info().rss


def worked(server: Server) -> float:
    """Processor seconds of the server's own process."""
    assert server.process is not None
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system


def slope(figures: Sequence[float]) -> float:
    """Growth from one figure to the next, by least squares."""
    middle, mean = (len(figures) - 1) / 2, sum(figures) / len(figures)
    spread = sum((i - middle) ** 2 for i in range(len(figures)))
    return sum((i - middle) * (y - mean) for i, y in enumerate(figures)) / spread


def growth(server: Server, one: Callable[[int], object], count: int, each: int = 50) -> float:
    """Bytes that a request leaves behind, from `count` of them, looked at every `each`.

    Args:
        server: Warmed up by requests of this kind.
        one: Makes the request of a number.
        count: Of requests.
        each: Requests between two looks.
    """
    figures = []
    for i in range(count):
        one(i)
        if i % each == 0:
            figures.append(float(resident(server)))
    return slope(figures) / each
