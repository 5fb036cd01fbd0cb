"""DCGAN's generator and discriminator: Radford et al., 2015 (arXiv:1511.06434), section 3.

Deviations: labels (none in the paper), a base grid found by halving the data's size, and no batch
normalization in the discriminator where a gradient penalty needs samples to be separate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from genloom.core import Condition, Real, Space
from genloom.nets.conv import BatchNorm, double, grid_of, half, vectors_only
from genloom.nets.dense import Projection
from genloom.nets.embed import ConditionVector
from genloom.nets.layout import to_grid, to_vector


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02), as the paper says; gains of batch normalization from N(1, 0.02)."""
    for part in module.modules():
        weight, bias = getattr(part, "weight", None), getattr(part, "bias", None)
        norm = isinstance(part, nn.modules.batchnorm._BatchNorm)
        if isinstance(weight, Tensor) and not isinstance(part, nn.Embedding):
            nn.init.normal_(weight, mean=float(norm), std=0.02)
        if isinstance(bias, Tensor):
            nn.init.zeros_(bias)


@final
class DcganGenerator(nn.Module):
    """Transposed convolutions with batch normalization and ReLU, then tanh.

    The batch enters through the normalization in training only; in evaluation mode the running
    statistics make each sample independent of its neighbours.
    """

    def __init__(self, space: Real, latent: int, conditions: Mapping[str, Space], *, width: int):
        super().__init__()
        channels, spatial, times = grid_of(space, "dcgan")
        axes, widths = len(spatial), [width * 2**i for i in range(times)][::-1]
        self.base = [n >> times for n in spatial]
        features = widths[0] * math.prod(self.base)
        # The first "layer" of the paper: a dense map, reshaped. A label is added after the
        # normalization: before it, the coherent gradients of few labels soon drown the noise.
        self.first = nn.Linear(latent, features, bias=False)
        self.norm = BatchNorm[axes](widths[0])
        layers: list[nn.Module] = [nn.ReLU()]
        for c_in, c_out in pairwise(widths):
            layers += [double(axes, c_in, c_out), BatchNorm[axes](c_out), nn.ReLU()]
        self.body = nn.Sequential(*layers, double(axes, widths[-1], channels), nn.Tanh())
        initialize(self)
        self.cond = ConditionVector(conditions, features, scale=0.5) if conditions else None

    def forward(self, z: Tensor, cond: Condition) -> Tensor:
        """(B, latent) -> (B, C, *spatial), in [-1, 1]."""
        h = self.norm(to_grid(self.first(z), self.base))
        if self.cond is not None:
            h = h + to_grid(self.cond(cond, len(z)), self.base)
        return self.body(h)


@final
class DcganDiscriminator(nn.Module):
    """Strided convolutions with LeakyReLU, a linear head and a projection of the condition."""

    def __init__(
        self, space: Real, conditions: Mapping[str, Space], *, width: int, batchnorm: bool
    ):
        super().__init__()
        channels, spatial, times = grid_of(space, "dcgan")
        axes, widths = len(spatial), [width * 2**i for i in range(times)]
        layers = [half(axes, channels, width), nn.LeakyReLU(0.2)]
        for c_in, c_out in pairwise(widths):
            layers.append(half(axes, c_in, c_out))
            if batchnorm:
                layers.append(BatchNorm[axes](c_out))
            layers.append(nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*layers)
        base = math.prod(n >> times for n in spatial)
        self.head = Projection(widths[-1] * base, conditions)
        initialize(self)

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, C, *spatial) -> (B,)."""
        return self.head(to_vector(self.body(x)), cond)


def dcgan_players(
    space: Real,
    latent: int,
    conditions: Mapping[str, Space],
    *,
    width: int = 64,
    batchnorm: bool = True,
) -> tuple[DcganGenerator, DcganDiscriminator]:
    """A generator (B, latent) -> (B, *shape) and a discriminator (B, *shape) -> (B,).

    Args:
        space: One datum, (C, *spatial) in [-1, 1], every axis even and at least 8.
        latent: Size of the generator's noise.
        conditions: Labels and real vectors; both nets see them.
        width: Channels beside the data; doubled at each halving.
        batchnorm: In the discriminator too; only without a gradient penalty.
    """
    vectors_only(conditions, "dcgan")
    return (
        DcganGenerator(space, latent, conditions, width=width),
        DcganDiscriminator(space, conditions, width=width, batchnorm=batchnorm),
    )
