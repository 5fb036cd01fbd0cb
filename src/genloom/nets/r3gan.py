"""A small residual generator and discriminator: Huang et al., 2024 (arXiv:2501.05441), section 4.

Kept: a learned base grid, residual blocks 1x1 - 3x3 - 1x1 with LeakyReLU and no normalization in
the discriminator, the last convolution of each block at zero, gains scaled by depth (Fixup), a
depth-wise head. Deviations, for short runs on a CPU: dense 3x3 convolutions without expansion
rather than grouped ones (which reach a third of the speed there), a stem that halves the grid at
once (space to depth), no residual blocks unless they are asked for, and RMS normalization over
channels in the generator, without which a short run is far from converged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Real, Space
from genloom.nets.conv import Conv, double, grid_of, half, vectors_only
from genloom.nets.dense import Projection, with_condition
from genloom.nets.embed import ChannelNorm, ConditionVector
from genloom.nets.layout import to_grid, to_vector

SLOPE = 0.2


def _scaled(conv: nn.Module, gain: float) -> nn.Module:
    """He's initialization times a gain."""
    weight, bias = conv.weight, conv.bias
    assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
    nn.init.kaiming_normal_(weight, a=SLOPE)
    with torch.no_grad():
        weight.mul_(gain)
    nn.init.zeros_(bias)
    return conv


@final
class Block(nn.Module):
    """x + conv1(act(conv3(act(conv1(x))))), with an optional norm before each nonlinearity."""

    def __init__(self, axes: int, width: int, *, gain: float, norm: bool):
        super().__init__()
        layers = []
        for kernel, g in ((1, gain), (3, gain), (1, 0.0)):
            layers.append(_scaled(Conv[axes](width, width, kernel, padding=kernel // 2), g))
            if g:
                layers += [ChannelNorm(width)] if norm else []
                layers.append(nn.LeakyReLU(SLOPE))
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, *spatial) -> the same."""
        return x + self.body(x)


def _blocks(axes: int, width: int, count: int, total: int, *, norm: bool) -> list[nn.Module]:
    """`count` blocks; the gain is total^(-1/4), the Fixup rule for three layers."""
    return [Block(axes, width, gain=total**-0.25, norm=norm) for _ in range(count)]


@final
class R3Generator(nn.Module):
    """Learned base grid times a linear map of z, then residual stages and doublings."""

    def __init__(
        self,
        space: Real,
        latent: int,
        conditions: Mapping[str, Space],
        *,
        width: int,
        blocks: int,
        norm: bool,
    ):
        super().__init__()
        channels, spatial, times = grid_of(space, "r3gan")
        axes, widths = len(spatial), [width * 2**i for i in range(times)][::-1]
        self.cond = ConditionVector(conditions, latent) if conditions else None
        self.base = [n >> times for n in spatial]
        self.basis = nn.Parameter(torch.randn(math.prod(self.base), widths[0]))
        self.first = nn.Linear(latent * (2 if conditions else 1), widths[0])
        layers, total = [], max(1, blocks * times)
        for c_in, c_out in zip(widths, [*widths[1:], channels]):
            layers += _blocks(axes, c_in, blocks, total, norm=norm)
            layers += [ChannelNorm(c_in)] if norm else []
            layers += [nn.LeakyReLU(SLOPE), double(axes, c_in, c_out)]
        self.body = nn.Sequential(*layers)
        self.bound = nn.Tanh() if space.levels else nn.Identity()

    def forward(self, z: Tensor, cond: Condition) -> Tensor:
        """(B, latent) -> (B, C, *spatial)."""
        h = self.first(with_condition(z, self.cond, cond))
        h = to_grid((h[:, None] * self.basis).flatten(1), self.base)
        return self.bound(self.body(h))


@final
class R3Discriminator(nn.Module):
    """The mirror, with no normalization, ending in one learned weight per place and channel."""

    def __init__(self, space: Real, conditions: Mapping[str, Space], *, width: int, blocks: int):
        super().__init__()
        channels, spatial, times = grid_of(space, "r3gan")
        axes, widths = len(spatial), [width * 2**i for i in range(times)]
        layers, total = [], max(1, blocks * times)
        for c_in, c_out in zip([channels, *widths[:-1]], widths):
            layers += [half(axes, c_in, c_out), nn.LeakyReLU(SLOPE)]
            layers += _blocks(axes, c_out, blocks, total, norm=False)
        self.body = nn.Sequential(*layers)
        places = math.prod(n >> times for n in spatial)
        self.basis = nn.Parameter(torch.randn(places, widths[-1]) / math.sqrt(places))
        self.head = Projection(widths[-1], conditions)

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, C, *spatial) -> (B,)."""
        rows = to_vector(self.body(x)).unflatten(1, self.basis.shape)
        return self.head((rows * self.basis).sum(1), cond)


def r3_players(
    space: Real,
    latent: int,
    conditions: Mapping[str, Space],
    *,
    width: int = 32,
    blocks: int = 0,
    norm: bool = True,
) -> tuple[R3Generator, R3Discriminator]:
    """A generator (B, latent) -> (B, *shape) and a discriminator (B, *shape) -> (B,).

    Args:
        space: One datum, (C, *spatial), every axis even and at least 8; with levels, the generator
            ends in tanh.
        latent: Size of the generator's noise.
        conditions: Labels and real vectors; both nets see them.
        width: Channels at half the data's size; doubled at each further halving.
        blocks: Residual blocks per stage. 0 where minutes count: at 28x28 a step with one takes
            three times as long.
        norm: RMS normalization in the generator, for runs below about 50,000 steps.
    """
    vectors_only(conditions, "r3gan")
    return (
        R3Generator(space, latent, conditions, width=width, blocks=blocks, norm=norm),
        R3Discriminator(space, conditions, width=width, blocks=blocks),
    )
