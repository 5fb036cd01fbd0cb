"""Two-dimensional toy distributions with known density: moons, rings, and 25 Gaussians on a grid.

Each is of about unit scale. `log_density` is the density that the points were drawn
from, so that likelihoods and coverage can be judged against the truth.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Name = Literal["moons", "rings", "gaussians"]
COUNT = 20_000
RADII = (0.4, 0.8, 1.2, 1.6)
RING_NOISE = 0.04
MOON_NOISE = 0.1
GRID_NOISE = 0.05
GRID_STEP = 1 / math.sqrt(2)
_MOON_SCALE = 1.2
_NODES = 160  # of the quadrature over the half circles


def centres() -> Tensor:
    """Of the 25 Gaussians, (25, 2)."""
    axis = (torch.arange(5) - 2) * GRID_STEP
    return torch.cartesian_prod(axis, axis)


def draw(name: Name, n: int = COUNT, seed: int = 0) -> tuple[Tensor, Tensor | None]:
    """Points, float32 (n, 2), and their labels, int64 (n,), or None for "gaussians"."""
    g = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, 2, generator=g, dtype=torch.float64)
    which = torch.rand(n, generator=g, dtype=torch.float64)
    angle = torch.rand(n, generator=g, dtype=torch.float64)
    if name == "gaussians":
        x = centres().double()[(which * 25).long()] + GRID_NOISE * noise
        return x.float(), None
    if name == "rings":
        label = (which * len(RADII)).long()
        radius = torch.tensor(RADII, dtype=torch.float64)[label]
        turn = 2 * math.pi * angle
        clean = radius[:, None] * torch.stack([turn.cos(), turn.sin()], -1)
        return (clean + RING_NOISE * noise).float(), label
    label = (which * 2).long()
    upper, lower = _moons(angle)
    clean = torch.where(label[:, None] == 0, upper, lower)
    return (clean + MOON_NOISE * noise).float(), label


def _moons(u: Tensor) -> tuple[Tensor, Tensor]:
    """The two half circles at u in [0, 1]: (..., 2) each, centred at the origin."""
    turn = math.pi * u
    upper = torch.stack([turn.cos() - 0.5, turn.sin() - 0.25], -1)
    lower = torch.stack([0.5 - turn.cos(), 0.25 - turn.sin()], -1)
    return _MOON_SCALE * upper, _MOON_SCALE * lower


def log_density(name: Name, points: Tensor) -> Tensor:
    """Natural logarithm of the density at points (B, 2): (B,), float64.

    Rings: a uniform angle plus Gaussian noise has the density
    exp(-(rho - r)^2 / (2 s^2)) I0e(rho r / s^2) / (2 pi s^2) at distance rho from the centre.
    Moons: the integral over the half circles by Gauss-Legendre quadrature with 160 nodes.
    """
    x = points.double()
    if name == "gaussians":
        return _mixture(x, centres().double(), GRID_NOISE)
    if name == "rings":
        s2 = RING_NOISE**2
        rho, r = x.norm(dim=-1)[:, None], torch.tensor(RADII, dtype=torch.float64)
        bessel = torch.special.i0e(rho * r / s2).log()
        each = bessel - (rho - r).square() / (2 * s2) - math.log(2 * math.pi * s2)
        return each.logsumexp(-1) - math.log(len(RADII))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    curve = torch.cat(_moons((torch.from_numpy(nodes) + 1) / 2))
    log_weights = torch.from_numpy(weights / 4).log().repeat(2)
    return torch.cat([_mixture(part, curve, MOON_NOISE, log_weights) for part in x.split(4096)])


def _mixture(
    x: Tensor, means: Tensor, deviation: float, log_weights: Tensor | float | None = None
) -> Tensor:
    """Log density of round Gaussians; equally likely where no weights are given."""
    if log_weights is None:
        log_weights = -math.log(len(means))
    distance = torch.cdist(x, means, compute_mode="donot_use_mm_for_euclid_dist").square()
    log_each = -distance / (2 * deviation**2) - math.log(2 * math.pi * deviation**2)
    return (log_each + log_weights).logsumexp(-1)
