"""How likely a datum is to a denoiser: a bound on its log-likelihood, without gradients.

Kingma et al., Variational diffusion models, 2021 (arXiv:2107.00630), Eq. 3 and 11 in the form for
continuous time: the datum is sent with noise sigma_low (reconstruction), each finer level of noise
costs what the denoiser errs there (diffusion), and the coarsest level is compared with a normal
law (prior). For an exact denoiser the bound is tight.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genloom.core import like
from genloom.solvers import Denoise


class Ends(NamedTuple):
    """The normal law that all data become, and the range of noise.

    Args:
        mean: Of the data, broadcastable to them.
        std: Standard deviation of the data, likewise.
        low: Least sigma.
        high: Greatest sigma.
    """

    mean: Tensor
    std: Tensor
    low: float
    high: float


def variational(
    denoiser: Denoise,
    x: Tensor,
    ends: Ends,
    *,
    levels: int | None,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """A lower bound on log p(x), in nats, (B,); unbiased in the draws.

    Args:
        denoiser: D(x; sigma).
        x: (B, *shape).
        ends: Of the chain.
        levels: Data take that many values, equally spaced over [-1, 1]: the bound is of a mass.
            None: it is of a density.
        draws: Evaluations of the denoiser, stratified over ln(sigma).
        generator: Of all noise; on the CPU.
    """

    def noise() -> Tensor:
        return torch.randn(x.shape, generator=generator).to(x)

    span = math.log(ends.high / ends.low)
    diffusion = x.new_zeros(len(x))
    for i in range(draws):
        u = torch.rand(len(x), generator=generator).to(x)
        sigma = ends.low * (span * (i + u) / draws).exp()
        error = x - denoiser(x + like(sigma, x) * noise(), sigma)
        diffusion += span / draws * error.flatten(1).square().sum(1) / sigma.square()
    said = _reconstruction(denoiser, x, x + ends.low * noise(), ends.low, levels)
    return said - diffusion - prior(x, ends)


def prior(x: Tensor, ends: Ends) -> Tensor:
    """KL of N(x, high^2) from N(mean, high^2 + std^2)."""
    own, whole = ends.high**2, ends.high**2 + ends.std.square()
    each = ((own + (x - ends.mean).square()) / whole - 1 + (whole / own).log()) / 2
    return each.flatten(1).sum(1)


def _reconstruction(
    denoiser: Denoise, x: Tensor, noisy: Tensor, sigma: float, levels: int | None
) -> Tensor:
    """Log p(x | noisy): which of the levels it was, or a normal law around the denoised datum."""
    if levels is None:
        error = x - denoiser(noisy, x.new_full((len(x),), sigma))
        each = -(error / sigma).square() / 2 - math.log(sigma * math.sqrt(2 * math.pi))
        return each.flatten(1).sum(1)
    step = 2 / (levels - 1)
    total = torch.zeros_like(x)  # of exp((x - z)^2 - (x + k step - z)^2) over 2 sigma^2
    reach = min(levels - 1, math.ceil(8 * sigma / step))
    for k in range(-reach, reach + 1):
        level = x + k * step
        log = ((x - noisy).square() - (level - noisy).square()) / (2 * sigma**2)
        total += log.exp() * (level.abs() < 1 + step / 2)
    return -total.log().flatten(1).sum(1)
