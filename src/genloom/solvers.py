"""Solvers: from noise to data, given nothing but the denoiser D(x; sigma).

Each is a pure generator function `solver(denoiser, x, sigmas)`: x has noise of deviation sigmas[0],
`sigmas` decreases and ends in 0, and each step yields the denoised guess at its level; the last
yield is the sample. They integrate dx/dsigma = (x - D(x; sigma)) / sigma (Karras et al., 2022,
arXiv:2206.00364, Eq. 1 and 3), whatever the model was trained as. One evaluation of D a step, two
with Heun.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from genloom.core import like
from genloom.errors import BadInput

Denoise = Callable[[Tensor, Tensor], Tensor]  # (B, *shape), sigma (B,) -> (B, *shape)
SolverName = Literal["unipc", "dpmpp", "heun", "euler", "ancestral", "dpmpp_sde"]


def euler(denoiser: Denoise, x: Tensor, sigmas: Sequence[float] | Tensor) -> Iterator[Tensor]:
    """Order 1; the same as DDIM. Song et al., 2020 (arXiv:2010.02502), Eq. 12 with no noise."""
    for s, t in _steps(sigmas):
        d = _at(denoiser, x, s)
        yield d
        x = torch.lerp(d, x, t / s)


def heun(denoiser: Denoise, x: Tensor, sigmas: Sequence[float] | Tensor) -> Iterator[Tensor]:
    """Order 2, two evaluations a step. Karras et al., 2022 (arXiv:2206.00364), Alg. 1."""
    for s, t in _steps(sigmas):
        d = _at(denoiser, x, s)
        yield d
        if t > 0:
            slope = (x - d) / s
            ahead = x + (t - s) * slope
            slope_ahead = (ahead - _at(denoiser, ahead, t)) / t
            x = x + (t - s) * (slope + slope_ahead) / 2


def dpmpp(denoiser: Denoise, x: Tensor, sigmas: Sequence[float] | Tensor) -> Iterator[Tensor]:
    """DPM-Solver++(2M), order 2. Lu et al., 2022 (arXiv:2211.01095), Alg. 2.

    The exponential integrator in lambda = -ln sigma, with a linear extrapolation of D.
    """
    old, h_old = None, 0.0
    for s, t in _steps(sigmas):
        d = _at(denoiser, x, s)
        yield d
        if t > 0:
            h = math.log(s / t)
            x = torch.lerp(_extrapolated(d, old, h_old / h), x, t / s)
            old, h_old = d, h


def carried(denoiser: Denoise, x: Tensor, sigmas: Sequence[float] | Tensor) -> Tensor:
    """Where the path from (x, sigmas[0]) is at sigmas[-1], which may be above 0, at order 2.

    DPM-Solver++(2S), Lu et al., 2022 (arXiv:2211.01095), Alg. 1 with r = 1/2: the middle of a step
    in ln sigma says where it leads. Two evaluations a step, no memory of earlier ones; a step to 0
    has one, and order 1.
    """
    for s, t in _falling(sigmas):
        d = _at(denoiser, x, s)
        if t > 0:
            middle = math.sqrt(s * t)
            d = _at(denoiser, torch.lerp(d, x, middle / s), middle)
        x = torch.lerp(d, x, t / s)
    return x


def unipc(denoiser: Denoise, x: Tensor, sigmas: Sequence[float] | Tensor) -> Iterator[Tensor]:
    """UniPC-2 with B2(h). Zhao et al., 2023 (arXiv:2302.04867), Alg. 1, 2 for data prediction.

    UniP-2 predicts; UniC-2 corrects the prediction with the evaluation that the next step needs
    anyway, so a step costs one evaluation and has order 3 where D is smooth.
    """
    levels = _steps(sigmas)
    d = _at(denoiser, x, levels[0][0])
    yield d
    old, h_old = None, 0.0
    for s, t in levels:
        if t <= 0:
            return
        h = math.log(s / t)
        ahead = torch.lerp(_extrapolated(d, old, h_old / h), x, t / s)
        d_ahead = _at(denoiser, ahead, t)
        yield d_ahead
        x = torch.lerp(_corrected(d, d_ahead, old, h_old / h, h), x, t / s)
        old, h_old, d = d, h, d_ahead


def ancestral(
    denoiser: Denoise,
    x: Tensor,
    sigmas: Sequence[float] | Tensor,
    noise: Callable[[], Tensor],
    *,
    eta: float = 1.0,
    order: Literal[1, 2] = 1,
) -> Iterator[Tensor]:
    """A reverse process with fresh noise: DDPM, DDIM with eta, SDE-DPM-Solver++(2M).

    Order 1 is DDPM's own, with variance beta tilde (Ho et al., 2020, arXiv:2006.11239, Alg. 2), and
    with eta = 0 DDIM, which is `euler` (Song et al., 2020, arXiv:2010.02502, Eq. 16). Order 2
    extrapolates D from the last two, as the multistep solver for the SDE of Lu et al., 2022
    (arXiv:2211.01095); with eta = 0 it is `dpmpp`.

    Args:
        denoiser: D(x; sigma).
        x: Start, with noise of deviation sigmas[0].
        sigmas: Decreasing, 0 at the end.
        noise: Draws a standard normal of x's shape.
        eta: Share of the fresh noise, in [0, 1].
        order: Of the mean of a step.
    """
    old, h_old = None, 0.0
    for s, t in _steps(sigmas):
        d = _at(denoiser, x, s)
        yield d
        if t > 0:
            h = math.log(s / t)
            fresh = eta * t * math.sqrt(1 - (t / s) ** 2)
            x = torch.lerp(_extrapolated(d, old, h_old / h), x, math.sqrt(t**2 - fresh**2) / s) + (
                fresh * noise()
            )
            if order == 2:
                old, h_old = d, h


def resampled(
    denoiser: Denoise,
    x: Tensor,
    sigmas: Sequence[float] | Tensor,
    noise: Callable[[], Tensor],
    *,
    rounds: int,
) -> Iterator[Tensor]:
    """Each step of `euler` taken several times, with noise put back between the times.

    Where part of x is given, the rest comes to fit it: Lugmayr et al., 2022 (arXiv:2201.09865),
    Alg. 1 with jumps of one step.

    Args:
        denoiser: D(x; sigma).
        x: Start, with noise of deviation sigmas[0].
        sigmas: Decreasing, 0 at the end.
        noise: Draws a standard normal of x's shape.
        rounds: How often each step is taken.
    """
    for s, t in _steps(sigmas):
        for left in reversed(range(rounds if t > 0 else 1)):
            d = _at(denoiser, x, s)
            x = torch.lerp(d, x, t / s)
            if left:
                x = x + math.sqrt(s**2 - t**2) * noise()
        yield d


SOLVERS: Mapping[str, Callable[[Denoise, Tensor, Sequence[float] | Tensor], Iterator[Tensor]]] = {
    "unipc": unipc,
    "dpmpp": dpmpp,
    "heun": heun,
    "euler": euler,
}
"""The solvers without randomness, by name."""

STOCHASTIC: Mapping[str, Literal[1, 2]] = {"ancestral": 1, "dpmpp_sde": 2}
"""Those of `ancestral`, by name, with their order."""


def solve(
    name: SolverName,
    denoiser: Denoise,
    x: Tensor,
    sigmas: Sequence[float] | Tensor,
    fresh: Callable[[], Tensor],
    *,
    eta: float = 1.0,
) -> Iterator[Tensor]:
    """Yield the denoised guess of every step of the solver with that name.

    Args:
        name: Of the solver.
        denoiser: D(x; sigma).
        x: Where it starts, (B, *shape).
        sigmas: Falling levels, 0 at the end.
        fresh: Gives standard normal noise of x's shape, for solvers that add some.
        eta: Share of that noise.
    """
    if name in STOCHASTIC:
        yield from ancestral(denoiser, x, sigmas, fresh, eta=eta, order=STOCHASTIC[name])
    else:
        yield from SOLVERS[name](denoiser, x, sigmas)


def rescaled(d: Tensor, plain: Tensor, share: float) -> Tensor:
    """Guided guesses with the deviation of plain ones, both (B, *shape) about 0.

    Lin et al., 2023 (arXiv:2305.08891), Eq. 14 to 16, scale what the net predicts; here it is the
    denoised datum about the data's mean, which is the same for every target and leaves the
    brightness of data off zero as it is.

    Args:
        d: Guided.
        plain: Of the conditional model.
        share: How far the deviation becomes that of the plain guess, in [0, 1].
    """
    wanted, found = (v.flatten(1).std(1, correction=0) + 1e-6 for v in (plain, d))
    return d * like(1 + share * (wanted / found - 1), d)


def _steps(sigmas: Sequence[float] | Tensor) -> list[tuple[float, float]]:
    levels = _falling(sigmas)
    if levels[-1][1] != 0:
        raise BadInput(f"sigmas must fall strictly and end in 0, not in {levels[-1][1]}.")
    return levels


def _falling(sigmas: Sequence[float] | Tensor) -> list[tuple[float, float]]:
    values = [float(s) for s in sigmas]
    if len(values) < 2 or values[-1] < 0 or any(t >= s for s, t in pairwise(values)):
        raise BadInput(f"sigmas must fall strictly and end in 0, and be 2 or more, not {values}.")
    return list(pairwise(values))


def _at(denoiser: Denoise, x: Tensor, sigma: float) -> Tensor:
    return denoiser(x, x.new_full((len(x),), sigma))


def _extrapolated(d: Tensor, old: Tensor | None, ratio: float) -> Tensor:
    """D half a step ahead, from the last two; `ratio` = last step / this step, in lambda."""
    return d if old is None else torch.lerp(old, d, 1 + 1 / (2 * ratio))


def _corrected(d: Tensor, ahead: Tensor, old: Tensor | None, ratio: float, h: float) -> Tensor:
    """The mean of D over a step that its values at two or three places give (UniC, Eq. 8)."""
    if old is None:
        return torch.lerp(d, ahead, 0.5)
    phi1 = math.expm1(-h)
    phi2 = phi1 / -h - 1
    phi3 = phi2 / -h - 0.5
    sum_, weighted = phi2 / phi1, 2 * phi3 / phi1  # of the weights; of the weights times places
    # places: -ratio for the old value, 1 for the value ahead
    w_old = (sum_ - weighted) / (1 + ratio)
    return d + w_old * (old - d) / -ratio + (sum_ - w_old) * (ahead - d)
