"""The net of a hierarchical VAE: features upwards, and stages of latent grids downwards.

Sonderby et al., 2016 (arXiv:1602.02282): generation and inference share the way down; Child, 2020
(arXiv:2011.10650), Fig. 3: at each stage the latents are added to one residual stream. Smaller: one
width, and one vector of latents at the top, above the grids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, cast, final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Interval, Real, Space
from genloom.nets.conv import Conv, Deconv, double, grid_of, half, vectors_only
from genloom.nets.embed import ConditionVector
from genloom.nets.grid_coder import Residual

Moments = tuple[Tensor, Tensor]
"""Mean and log deviation of a grid of latents, (B, latent, *grid) each."""


@final
class Stage(nn.Module):
    """One grid of latents: what is expected of it, what the datum says, and what it adds."""

    def __init__(self, axes: int, width: int, latent: int):
        super().__init__()
        self.expected = nn.Sequential(nn.SiLU(), Conv[axes](width, 2 * latent, 3, padding=1))
        self.seen = nn.Sequential(
            Conv[axes](2 * width, width, 1), nn.SiLU(), Conv[axes](width, 2 * latent, 3, padding=1)
        )
        self.add = Conv[axes](latent, width, 1)
        self.mix = Residual(axes, width, width)
        for last in (self.expected[-1], self.seen[-1]):
            for p in last.parameters():  # at the start both sides say: standard normal
                nn.init.zeros_(p)

    def prior(self, h: Tensor) -> Moments:
        """From the stream alone, (B, width, *grid)."""
        mean, log_std = self.expected(h).chunk(2, 1)
        return mean, _bounded(log_std)

    def posterior(self, h: Tensor, features: Tensor, prior: Moments) -> Moments:
        """From the datum's features too, relative to the prior.

        Vahdat and Kautz, 2020 (arXiv:2007.03898), section 3.2: where the datum says nothing new,
        zeros are enough to say so.
        """
        mean, log_std = self.seen(torch.cat([h, features], 1)).chunk(2, 1)
        return prior[0] + prior[1].exp() * mean, prior[1] + _bounded(log_std)

    def absorb(self, h: Tensor, z: Tensor) -> Tensor:
        """The stream after latents z, (B, latent, *grid)."""
        return self.mix(h + self.add(z))


@final
class Ladder(nn.Module):
    """A vector of latents, then a grid of them for each halving of the data's axes.

    Upwards: `up`. Downwards: `start`, then for each stage its prior or posterior, `absorb`, and
    `widen`.

    Args:
        space: One datum, (C, *spatial), every axis even and at least 8.
        factors: Channels that the likelihood reads per channel of the datum.
        conditions: Labels and real vectors; they begin the way down.
        width: Channels everywhere.
        latent: Latents of a place.
        top: Latents of the vector.
    """

    def __init__(
        self,
        space: Real,
        factors: int,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=1)] = 32,
        latent: Annotated[int, Interval(ge=1)] = 4,
        top: Annotated[int, Interval(ge=1)] = 16,
    ):
        super().__init__()
        vectors_only(conditions, "ladder")
        channels, spatial, times = grid_of(space, "ladder")
        axes = len(spatial)
        base = tuple(n >> times for n in spatial)
        first = [half(axes, channels, width), *(half(axes, width, width) for _ in range(times - 1))]
        self.shrink = nn.ModuleList([*first, Conv[axes](width, width, base)])
        self.look = nn.ModuleList(Residual(axes, width, width) for _ in self.shrink)
        self.cond = ConditionVector(conditions, width)
        self.origin = nn.Parameter(torch.zeros(width))
        self.stages = nn.ModuleList(
            Stage(axes, width, latent if i else top) for i in range(times + 1)
        )
        grow = [double(axes, width, width) for _ in range(times - 1)]
        self.grow = nn.ModuleList(
            [Deconv[axes](width, width, base), *grow, double(axes, width, factors * channels)]
        )
        grids = [tuple(n >> times - i for n in spatial) for i in range(times)]
        self.shapes = [(top, *(1,) * axes), *((latent, *grid) for grid in grids)]
        self.axes = axes

    def up(self, x: Tensor) -> list[Tensor]:
        """Features of a datum for each stage, the top one's first."""
        found = []
        for shrink, look in zip(self.shrink, self.look, strict=True):
            x = look(shrink(x))
            found.append(x)
        return found[::-1]

    def start(self, cond: Condition, n: int) -> Tensor:
        """The stream above the first stage, (n, width, 1, ...)."""
        h = self.origin + self.cond(cond, n)
        return h.view(n, -1, *(1,) * self.axes)

    def stage(self, i: int) -> Stage:
        """Stage i, the vector's being 0."""
        return cast(Stage, self.stages[i])

    def widen(self, h: Tensor, i: int) -> Tensor:
        """The stream on the next grid after stage i; after the last, (B, factors * C, *spatial)."""
        return self.grow[i](h)


def _bounded(log_std: Tensor) -> Tensor:
    return 5 * (log_std / 5).tanh()
