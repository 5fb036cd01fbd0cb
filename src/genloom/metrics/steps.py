"""Quality against steps: the same seeds drawn in 1, 2, 4 ... steps, and each set judged alone.

The distance is KID, which verdicts headline and which does not grow as n falls. Beside it stand the
time that a sample takes, and how often a net looks at it: guidance looks twice, some solvers too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from genloom.core import Generative, options
from genloom.errors import BadInput
from genloom.metrics.estimate import Estimate
from genloom.metrics.extractor import Extractor
from genloom.metrics.kid import kid

COUNTS = (1, 2, 4, 8, 16, 32, 64)
MOST = 500  # samples at each count


def checked(model: Generative, counts: Sequence[int]) -> tuple[int, ...]:
    """The counts in rising order, each once.

    Raises:
        BadInput: The model takes no steps, or not so many; or there is no count.
    """
    known = options(model.sample_steps)
    if "steps" not in known:
        raise BadInput(
            f"{type(model).__name__} takes no 'steps', so there is no quality against steps. Judge "
            "it without --steps-curve, or train a model of steps, such as flow."
        )
    if not counts:
        raise BadInput("there are no counts of steps. Give some, such as --steps-curve 1,4,16.")
    return tuple(sorted({known["steps"].check(count) for count in counts}))


class Evaluations:
    """How many rows the outermost nets of a model have seen."""

    def __init__(self) -> None:
        self.rows, self.depth = 0, 0

    def enter(self, net: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """A net is called; one within another is a part of that one's work."""
        if not self.depth:
            first = next(v for v in (*given, *named.values()) if isinstance(v, Tensor))
            self.rows += len(first)
        self.depth += 1

    def leave(self, net: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        """The call is over, also where it failed."""
        self.depth -= 1


@contextmanager
def counting(model: nn.Module) -> Iterator[Evaluations]:
    """Count what the nets of a model are called with, as long as this is open."""
    found = Evaluations()
    nets = [part for part in model.modules() if part is not model]
    hooks = [net.register_forward_pre_hook(found.enter, with_kwargs=True) for net in nets]
    hooks += [net.register_forward_hook(found.leave, always_call=True) for net in nets]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def curve(
    model: Generative,
    draw: Callable[[int], Tensor],
    counts: Sequence[int],
    extractor: Extractor,
    real: Tensor,
    floor: Estimate | None,
) -> dict[str, Any]:
    """KID of samples at each count of steps, with what they cost.

    Args:
        model: Whose nets are counted.
        draw: Count of steps -> items (n, *shape), the same seeds at each.
        counts: Of steps.
        extractor: Makes the features.
        real: Features of held-out items, (m, D).
        floor: Of the verdict: KID between two halves of held-out data.

    Returns:
        `name`, `id`, `n`, `floor`, `floor_n`, and `points` with `steps`, `evaluations` of a sample,
        `seconds` of a sample, `value`, `low`, `high`.

    Raises:
        Refused: Too few items for KID, or features that are not finite.
    """
    points = []
    estimate = None
    for steps in counts:
        start = time.monotonic()
        with counting(model) as seen:
            items = draw(steps)
        seconds = (time.monotonic() - start) / len(items)
        estimate = kid(extractor(items), real, id=extractor.id)
        points.append(
            {
                "steps": steps,
                "evaluations": seen.rows / len(items),
                "seconds": seconds,
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
            }
        )
    assert estimate is not None, "no counts"
    return {
        "name": estimate.name,
        "id": estimate.id,
        "n": estimate.n,
        "floor": floor and floor.value,
        "floor_n": floor and floor.n,
        "points": points,
    }


def settled(points: Sequence[dict[str, Any]]) -> int | None:
    """The fewest steps from which on no count is shown to differ from the best one.

    None where there are none, or the last count alone: then more steps may help.
    """
    best = min(points, key=lambda point: point["value"])
    even = [p["low"] <= best["high"] and best["low"] <= p["high"] for p in points]
    first = len(points)
    while first and even[first - 1]:
        first -= 1
    return points[first]["steps"] if first < len(points) - 1 else None
