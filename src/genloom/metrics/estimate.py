"""What a measure returns: a value with interval, size, floor and name; never NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any, Literal

import torch
from torch import Tensor

from genloom.errors import Refused

GROUPS = 20
"""Groups that a jackknife leaves out, one at a time."""

Better = Literal["lower", "higher", "closer"]


@dataclass(frozen=True)
class Estimate:
    """One measured number and all that is needed to believe it.

    Args:
        name: A stable key, such as "kid".
        value: The measure itself.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        n: Items on each side.
        id: What was measured in which features: extractor with its hash, resize, dtype.
        better: Which way is better; "closer" means closer to the floor.
        unit: Of the value; "" for a pure number.
        tag: "exact", "bound" or "estimate" for likelihoods; "" elsewhere.
        floor: The same measure between two halves of the held-out data; None where it has none.
        floor_n: Items on each side of the floor.
        trivial: The same measure of a trivial generator; None where it has none.
        baselines: The same measure of what is no generator, by name.

    Raises:
        Refused: A number is not finite.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    id: str
    better: Better = "lower"
    unit: str = ""
    tag: str = ""
    floor: float | None = None
    floor_n: int | None = None
    trivial: float | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high, self.floor, self.trivial)
        numbers = (*numbers, *self.baselines.values())
        if not all(math.isfinite(number) for number in numbers if number is not None):
            raise Refused(
                f"{self.name} is not finite ({self.value}): the features or likelihoods that it "
                "got are not. Look at the samples."
            )

    def beside(self, floor: Estimate | None, trivial: Estimate | None) -> Estimate:
        """The same estimate with its floor and the trivial generator's value."""
        return replace(
            self,
            floor=floor.value if floor else self.floor,
            floor_n=floor.n if floor else self.floor_n,
            trivial=trivial.value if trivial else self.trivial,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {k: v for k, v in self.__dict__.items() if k != "baselines" or v}


def enough(name: str, n: int, needed: int, reason: str = "") -> None:
    """Refuse a measure of too few items.

    Raises:
        Refused: Fewer than `needed`; the message names the number.
    """
    if n < needed:
        raise Refused(f"{name} needs at least {needed} items a side, not {n}{reason}.")


def finite(name: str, *sets: Tensor) -> None:
    """Refuse features that are not finite.

    Raises:
        Refused: A feature is NaN or infinite.
    """
    for features in sets:
        if not bool(torch.isfinite(features).all()):
            raise Refused(
                f"{name}: {int((~torch.isfinite(features)).sum())} features are not finite."
            )


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion (Wilson 1927): honest near 0 and 1."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = successes / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low, high = (middle - half) / scale, (middle + half) / scale
    return low if successes else 0.0, high if successes < n else 1.0  # to the last bit


def mean_interval(values: Tensor) -> tuple[float, float, float]:
    """Mean of independent values (n,) and its 95 % interval by Student's t."""
    values = values.double()
    mean = float(values.mean())
    half = t_quantile(len(values) - 1) * float(values.std()) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def t_quantile(df: int, level: float = 0.95) -> float:
    """Two-sided quantile of Student's t with df >= 1, by bisection on its exact distribution.

    Above 200 degrees, by the expansion of Abramowitz and Stegun 26.7.5, to 1e-6.
    """
    if df > 200:
        z = NormalDist().inv_cdf((1 + level) / 2)
        return z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    low, high = 0.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_inside(middle, df) < level else (low, middle)
    return (low + high) / 2


def _t_inside(t: float, df: int) -> float:
    """P(|T| <= t): the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    theta = math.atan(t / math.sqrt(df))
    cosine = math.cos(theta)
    if df % 2:
        term, total = cosine, 0.0
        for k in range(1, df - 1, 2):
            total += term
            term *= cosine * cosine * (k + 1) / (k + 2)
        return 2 / math.pi * (theta + math.sin(theta) * total)
    term, total = 1.0, 0.0
    for k in range(0, df - 1, 2):
        total += term
        term *= cosine * cosine * (k + 1) / (k + 2)
    return math.sin(theta) * total


def jackknife(value: float, left_out: Sequence[float]) -> tuple[float, float]:
    """95 % interval around `value` from the values with one group left out each (Efron 1982)."""
    groups = len(left_out)
    values = torch.tensor(left_out, dtype=torch.float64)
    variance = float((values - values.mean()).square().sum()) * (groups - 1) / groups
    half = t_quantile(groups - 1) * math.sqrt(variance)
    return value - half, value + half


def leave_out(
    measure: Callable[[Tensor, Tensor], float], x: Tensor, y: Tensor, groups: int = GROUPS
) -> list[float]:
    """The measure of x and y without group g of each, for every g; groups are interleaved rows."""
    kept = [torch.arange(len(z)) % groups for z in (x, y)]
    return [measure(x[kept[0] != g], y[kept[1] != g]) for g in range(groups)]


def binomial_tail(k: int, n: int, p: float = 0.5) -> float:
    """P(X >= k) of a binomial count, summed exactly in logarithms."""
    if k <= 0:
        return 1.0
    terms = [
        _log_choose(n, i) + i * math.log(p) + (n - i) * math.log1p(-p) for i in range(k, n + 1)
    ]
    return min(1.0, _sum_of_exponentials(terms))


def fisher_greater(a: int, n: int, b: int, m: int) -> float:
    """One-sided exact p-value that a of n is a greater share than b of m (Fisher 1935)."""
    total = a + b
    whole = _log_choose(n + m, total)
    terms = [
        _log_choose(n, i) + _log_choose(m, total - i) - whole
        for i in range(a, min(n, total) + 1)
        if total - i <= m
    ]
    return min(1.0, _sum_of_exponentials(terms))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _sum_of_exponentials(logs: Sequence[float]) -> float:
    if not logs:
        return 0.0
    top = max(logs)
    return math.exp(top) * math.fsum(math.exp(value - top) for value in logs)
