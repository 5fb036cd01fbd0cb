"""Noise levels: which ones a model is trained at, and in which order a solver visits them.

Everything is said in one unit, r = sigma / (standard deviation of the data): the noisy datum is
x = y + r * noise for unit-variance y. A variance-preserving process has a = 1/sqrt(1 + r^2) before
y and b = r * a before the noise (a^2 is DDPM's "alpha bar"); the straight path of flow matching has
t = r / (1 + r). A law maps u, uniform in [0, 1), to r: stratified u give stratified levels.

Tables are not stretched to a signal-to-noise ratio of zero (Lin et al., 2023, arXiv:2305.08891).
The flaw that cures is that sampling starts from pure noise where training ended with some of the
datum: here tables end at r = 157 and beyond, and sampling starts from the data's mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from genloom.errors import BadInput

LawName = Literal["uniform", "logit-normal", "edm", "linear", "cosine"]
Law = Callable[[Tensor], Tensor]

EDGE = 1e-4  # the outermost share of a continuous law that is not visited: r stays finite


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


@cache
def table(name: Literal["linear", "cosine"], steps: int = 1000) -> Tensor:
    """Levels r of DDPM's linear or cosine table, rising, (steps,), float64."""
    return levels(betas_linear(steps) if name == "linear" else betas_cosine(steps))


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


def _from_table(name: Literal["linear", "cosine"], u: Tensor) -> Tensor:
    found = table(name)
    return found.to(u)[(u * len(found)).long().clamp(max=len(found) - 1)]


LAWS: Mapping[LawName, Law] = {
    "uniform": uniform,
    "logit-normal": logit_normal,
    "edm": edm,
    "linear": lambda u: _from_table("linear", u),
    "cosine": lambda u: _from_table("cosine", u),
}


def span(name: LawName) -> tuple[float, float]:
    """The least and the greatest level that a solver should visit of a model trained by a law.

    EDM's 0.002 to 80 for data of deviation 0.5, within what a table holds.
    """
    low, high = 0.004, 160.0
    if name in ("linear", "cosine"):
        found = table(name)
        return max(low, float(found[0])), min(high, float(found[-1]))
    return low, high


def karras(steps: int, low: float, high: float, *, rho: float = 7.0) -> Tensor:
    """Even in the rho-th root. Karras et al., 2022 (arXiv:2206.00364), Eq. 5. (steps + 1,)."""
    ramp = torch.linspace(high ** (1 / rho), low ** (1 / rho), steps, dtype=torch.float64) ** rho
    return _to_zero(ramp)


def straight(steps: int, low: float, high: float) -> Tensor:
    """Even in t = r / (1 + r), as flow matching is usually integrated. (steps + 1,)."""
    t = torch.linspace(high / (1 + high), low / (1 + low), steps, dtype=torch.float64)
    return _to_zero(t / (1 - t))


def strided(steps: int, low: float, high: float, *, of: Literal["linear", "cosine"]) -> Tensor:
    """Evenly spaced rows of DDPM's table, the last one first. (steps + 1,).

    All 1,000 rows are what Ho et al., 2020 (arXiv:2006.11239), Alg. 2 visits.
    """
    found = table(of)
    first = int(torch.searchsorted(found, torch.tensor(low, dtype=found.dtype)))
    last = int(torch.searchsorted(found, torch.tensor(high, dtype=found.dtype), right=True)) - 1
    if steps > last - first + 1:
        rows = last - first + 1
        raise BadInput(f"steps = {steps}, but the table has {rows} rows there. Ask for fewer.")
    rows = torch.linspace(last, first, steps, dtype=torch.float64).round().long()
    return _to_zero(found[rows])


def _to_zero(ramp: Tensor) -> Tensor:
    return torch.cat([ramp, ramp.new_zeros(1)])
