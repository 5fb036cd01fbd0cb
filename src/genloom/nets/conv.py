"""Convolutions over any number of spatial axes, and a convolutional encoder and decoder.

The pyramid of strided 4-wide convolutions is that of Radford et al., 2015 (arXiv:1511.06434).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from genloom.core import Condition, Real, Space
from genloom.errors import BadInput
from genloom.nets.embed import ConditionVector, way
from genloom.nets.layout import to_grid, to_vector

Conv: Sequence[Callable[..., nn.Module]] = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Deconv: Sequence[Callable[..., nn.Module]] = (
    nn.Linear,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
BatchNorm: Sequence[Callable[..., nn.Module]] = (
    nn.BatchNorm1d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
)


def halvings(spatial: Sequence[int], *, smallest: int = 4) -> int:
    """How often every axis can be halved without a remainder and without falling below `smallest`.

    28 -> 14 -> 7, 32 -> 16 -> 8 -> 4, 27 -> none.
    """
    times = 0
    while spatial and all(n % 2 == 0 and n // 2 >= smallest for n in spatial):
        spatial, times = [n // 2 for n in spatial], times + 1
    return times


def grid_of(space: Real, who: str) -> tuple[int, tuple[int, ...], int]:
    """Channels, spatial shape and number of halvings of a space with axes.

    Raises:
        BadInput: The space has no spatial axis or cannot be halved.
    """
    channels, *spatial = space.shape
    times = halvings(spatial)
    if not spatial or not times:
        raise BadInput(
            f"{who} needs a grid whose sizes are even and at least 8; this datum is "
            f"{space.shape}. Resize it, or choose an MLP net."
        )
    return channels, tuple(spatial), times


def vectors_only(conditions: Mapping[str, Space], who: str) -> None:
    """Check that every condition is a label or a real vector.

    Raises:
        BadInput: One is a text or a grid.
    """
    for name, space in conditions.items():
        if way(space) != "vector":
            raise BadInput(
                f"{who} takes labels and real vectors; condition {name!r} is {space}. "
                "Choose another net or drop the condition."
            )


def half(axes: int, c_in: int, c_out: int) -> nn.Module:
    """A convolution that halves every axis."""
    return Conv[axes](c_in, c_out, 4, stride=2, padding=1)


def double(axes: int, c_in: int, c_out: int) -> nn.Module:
    """A transposed convolution that doubles every axis."""
    return Deconv[axes](c_in, c_out, 4, stride=2, padding=1)


@final
class ConvEncoder(nn.Module):
    """Strided convolutions, then two dense layers that see the condition: (B, C, *) -> (B, out)."""

    def __init__(
        self,
        space: Real,
        features: int,
        conditions: Mapping[str, Space],
        *,
        width: int,
        hidden: int,
    ):
        super().__init__()
        channels, spatial, times = grid_of(space, "conv_coder")
        axes, widths = len(spatial), [width * 2**i for i in range(times)]
        layers = []
        for c_in, c_out in zip([channels, *widths[:-1]], widths):
            layers += [half(axes, c_in, c_out), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        base = math.prod(n >> times for n in spatial)
        self.dense = nn.Linear(widths[-1] * base, hidden)
        self.cond = ConditionVector(conditions, hidden)
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(hidden, features))

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, C, *spatial) -> (B, features)."""
        h = self.dense(to_vector(self.body(x)))
        return self.out(h + self.cond(cond, len(x)))


@final
class ConvDecoder(nn.Module):
    """The mirror of the encoder: (B, latent) -> (B, channels, *spatial)."""

    def __init__(
        self,
        space: Real,
        latent: int,
        channels: int,
        conditions: Mapping[str, Space],
        *,
        width: int,
        hidden: int,
    ):
        super().__init__()
        _, spatial, times = grid_of(space, "conv_coder")
        axes, widths = len(spatial), [width * 2**i for i in range(times)][::-1]
        self.base = [n >> times for n in spatial]
        self.dense = nn.Linear(latent, hidden)
        self.cond = ConditionVector(conditions, hidden)
        self.grow = nn.Sequential(
            nn.SiLU(), nn.Linear(hidden, widths[0] * math.prod(self.base)), nn.SiLU()
        )
        layers = []
        for c_in, c_out in pairwise(widths):
            layers += [double(axes, c_in, c_out), nn.SiLU()]
        self.body = nn.Sequential(*layers, double(axes, widths[-1], channels))

    def forward(self, z: Tensor, cond: Condition) -> Tensor:
        """(B, latent) -> (B, channels, *spatial)."""
        h = self.grow(self.dense(z) + self.cond(cond, len(z)))
        return self.body(to_grid(h, self.base))


def conv_coder(
    space: Real,
    latent: int,
    factors: int,
    conditions: Mapping[str, Space],
    *,
    width: int = 32,
    hidden: int = 256,
) -> tuple[ConvEncoder, ConvDecoder]:
    """An encoder to 2 * latent numbers and a decoder to factors * C channels.

    Args:
        space: One datum, (C, *spatial), every axis even and at least 8.
        latent: Size of the code.
        factors: Channels that the likelihood reads per channel of the datum.
        conditions: Labels and real vectors; both nets see them.
        width: Channels after the first halving; doubled at each further one.
        hidden: Width of the dense layers.
    """
    vectors_only(conditions, "conv_coder")
    encoder = ConvEncoder(space, 2 * latent, conditions, width=width, hidden=hidden)
    channels = factors * space.shape[0]
    decoder = ConvDecoder(space, latent, channels, conditions, width=width, hidden=hidden)
    return encoder, decoder
