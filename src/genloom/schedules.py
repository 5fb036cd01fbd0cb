"""Noise levels: which ones a model is trained at, and in which order a solver visits them.

Everything is said in one unit, r = sigma / (standard deviation of the data): the noisy datum is
x = y + r * noise for unit-variance y. A variance-preserving process has a = 1/sqrt(1 + r^2) before
y and b = r * a before the noise (a^2 is DDPM's "alpha bar"); the straight path of flow matching has
t = r / (1 + r). A law maps u, uniform in [0, 1), to r: stratified u give stratified levels.

Sampling starts at a finite level, from noise about the data's mean. What a picture's n places have
in common, its brightness, has the signal-to-noise ratio n / r^2 there: at r = 160 it drowns in a
picture of 28x28 (0.03), not in one of 256x256 (2.6), and samples would all be of middling
brightness (Lin et al., 2023, arXiv:2305.08891). The laws that end in "-zero" are for that: tables
stretched to a ratio of zero, and flow matching from the noisiest level that it is trained at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal, TypeGuard, get_args

import torch
from torch import Tensor

from genloom.errors import BadInput

LawName = Literal[
    "uniform",
    "logit-normal",
    "edm",
    "linear",
    "cosine",
    "uniform-zero",
    "linear-zero",
    "cosine-zero",
]
TableName = Literal["linear", "cosine", "linear-zero", "cosine-zero"]
Law = Callable[[Tensor], Tensor]

EDGE = 1e-4  # the outermost share of a continuous law that is not visited: r stays finite
PURE = 1e6  # the level that stands for noise alone; its signal-to-noise ratio is 1e-12, not 0


def betas_linear(steps: int = 1000) -> Tensor:
    """Noise added at each step, from 1e-4 to 0.02. Ho et al., 2020 (arXiv:2006.11239), section 4.

    The end points are those of 1,000 steps; other counts keep the total noise.
    """
    scale = 1000 / steps
    return torch.linspace(scale * 1e-4, scale * 0.02, steps, dtype=torch.float64)


def betas_cosine(steps: int = 1000, *, s: float = 0.008) -> Tensor:
    """Nichol and Dhariwal, 2021 (arXiv:2102.09672), Eq. 17, with beta at most 0.999."""
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    kept = ((t + s) / (1 + s) * math.pi / 2).cos().square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


def levels(betas: Tensor) -> Tensor:
    """Levels r of a table of betas, rising: sqrt((1 - abar) / abar), float64."""
    kept = (1 - betas).cumprod(0)
    return ((1 - kept) / kept).sqrt()


def stretched(found: Tensor) -> Tensor:
    """Levels of a table whose last row is noise alone. Lin et al., 2023 (arXiv:2305.08891), Alg. 1.

    The square roots of "alpha bar" are moved so that the last is 0, and scaled so that the first
    stays. The last level would be infinite; it is PURE, where float32 still tells x.
    """
    kept = (1 + found.square()).rsqrt()
    kept = (kept - kept[-1]) * kept[0] / (kept[0] - kept[-1])
    return torch.cat([(kept[:-1].pow(-2) - 1).sqrt(), found.new_full((1,), PURE)])


@cache
def table(name: TableName, steps: int = 1000) -> Tensor:
    """Levels r of DDPM's linear or cosine table, as it is or stretched, rising: (steps,)."""
    found = levels(betas_linear(steps) if name.startswith("linear") else betas_cosine(steps))
    return stretched(found) if name.endswith("-zero") else found


def is_table(name: LawName) -> TypeGuard[TableName]:
    """Whether a law is a table of betas."""
    return name in get_args(TableName)


def is_zero(name: LawName) -> bool:
    """Whether sampling by a law starts where nothing of the datum is left."""
    return name.endswith("-zero")


def uniform(u: Tensor) -> Tensor:
    """Flow matching, t uniform: r = t / (1 - t). Lipman et al., 2022 (arXiv:2210.02747)."""
    t = u.clamp(EDGE, 1 - EDGE)
    return t / (1 - t)


def lognormal(u: Tensor, mean: float, std: float) -> Tensor:
    """A normal law of ln r, which is also the logit of t."""
    return (mean + std * torch.special.ndtri(u.clamp(EDGE, 1 - EDGE))).exp()


def logit_normal(u: Tensor) -> Tensor:
    """Logit of t from N(0, 1). Esser et al., 2024 (arXiv:2403.03206), Eq. 19."""
    return lognormal(u, 0.0, 1.0)


def edm(u: Tensor) -> Tensor:
    """Log sigma from N(-1.2, 1.2^2) for data of deviation 0.5. Karras et al., 2022, Table 1."""
    return lognormal(u, -1.2 + math.log(2), 1.2)


def rows(steps: int, u: Tensor) -> Tensor:
    """Rows of a table of so many that u in [0, 1) chooses, all equally likely: int64, u's shape."""
    return (u * steps).long().clamp(max=steps - 1)


def _from_table(name: TableName) -> Law:
    return lambda u: table(name).to(u)[rows(len(table(name)), u)]


LAWS: Mapping[LawName, Law] = {
    "uniform": uniform,
    "logit-normal": logit_normal,
    "edm": edm,
    "linear": _from_table("linear"),
    "cosine": _from_table("cosine"),
    "uniform-zero": uniform,
    "linear-zero": _from_table("linear-zero"),
    "cosine-zero": _from_table("cosine-zero"),
}


def span(name: LawName, places: int = 1) -> tuple[float, float]:
    """The least and the greatest level that a solver should visit of a model trained by a law.

    EDM's 0.002 to 80 for data of deviation 0.5, within what a table holds. Under a law that ends in
    "-zero" the greatest drowns what all places have in common: there its signal-to-noise ratio is
    1/900, or what the last level but one of a table leaves. (PURE is none of these: from there the
    first step of a solver leads to noise about what the net takes for the mean.)

    Args:
        name: Of the law.
        places: Numbers in a datum.
    """
    low, high = 0.004, 160.0
    if is_zero(name):
        high = max(high, 30 * math.sqrt(places))
    if is_table(name):
        found = table(name)
        return max(low, float(found[0])), min(high, float(found[-1 - is_zero(name)]))
    return low, min(high, (1 - EDGE) / EDGE)


def visited(name: LawName, steps: int, least: float, *, by_rows: bool, places: int = 1) -> Tensor:
    """The falling levels of a solver's steps, 0 at the end: (steps + 1,), float64.

    Args:
        name: Of the law that the model was trained by.
        steps: How many.
        least: No level but 0 is below it.
        by_rows: Rows of the law's table, where it is one; else levels as Karras et al. space them.
        places: Numbers in a datum.
    """
    low, high = span(name, places)
    low = max(low, least)
    if by_rows and is_table(name):
        return strided(steps, low, PURE if is_zero(name) else high, of=name)
    if not (is_zero(name) and is_table(name)) or steps == 1:
        return karras(steps, low, high)
    found = karras(steps - 1, low, high)
    return torch.cat([found.new_full((1,), PURE), found])


def karras(steps: int, low: float, high: float, *, rho: float = 7.0) -> Tensor:
    """Even in the rho-th root. Karras et al., 2022 (arXiv:2206.00364), Eq. 5. (steps + 1,)."""
    ramp = torch.linspace(high ** (1 / rho), low ** (1 / rho), steps, dtype=torch.float64) ** rho
    return _to_zero(ramp)


def straight(steps: int, low: float, high: float) -> Tensor:
    """Even in t = r / (1 + r), as flow matching is usually integrated. (steps + 1,)."""
    t = torch.linspace(high / (1 + high), low / (1 + low), steps, dtype=torch.float64)
    return _to_zero(t / (1 - t))


def strided(steps: int, low: float, high: float, *, of: TableName) -> Tensor:
    """Evenly spaced rows of DDPM's table, the last one first. (steps + 1,).

    All 1,000 rows are what Ho et al., 2020 (arXiv:2006.11239), Alg. 2 visits.
    """
    found = table(of)
    first = int(torch.searchsorted(found, torch.tensor(low, dtype=found.dtype)))
    last = int(torch.searchsorted(found, torch.tensor(high, dtype=found.dtype), right=True)) - 1
    if steps > last - first + 1:
        held = last - first + 1
        raise BadInput(f"steps = {steps}, but the table has {held} rows there. Ask for fewer.")
    chosen = torch.linspace(last, first, steps, dtype=torch.float64).round().long()
    return _to_zero(found[chosen])


def _to_zero(ramp: Tensor) -> Tensor:
    return torch.cat([ramp, ramp.new_zeros(1)])
