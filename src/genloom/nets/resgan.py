"""Residual generators and discriminators of SNGAN and BigGAN.

Miyato et al., 2018 (arXiv:1802.05957), appendix B.4; the label enters by conditional normalization
and a projection (Miyato and Koyama, 2018, arXiv:1802.05637, Eq. 3). Brock et al., 2019
(arXiv:1809.11096), appendix B: one embedding of the label for all blocks, a part of the noise for
each block, self-attention at one size, spectral normalization in both nets.
Deviations: the generator divides by the root mean square over channels, by default, where the
papers take batch normalization, which mixes rows; all weights start orthogonal in both pairs;
widths double from size to size, as data here are small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Real, Space
from genloom.nets.conv import BatchNorm, Conv, grid_of, vectors_only
from genloom.nets.dense import Projection
from genloom.nets.embed import ConditionVector
from genloom.nets.layout import to_grid
from genloom.nets.spectral import normalise

NormName = Literal["rms", "batch"]
POOL = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
EMBEDDING = 128  # of the label, at most: BigGAN, appendix B


def orthogonal(net: nn.Module) -> nn.Module:
    """Every matrix, kernel and embedding from a random orthogonal one (Saxe et al., 2013)."""
    for part in net.modules():
        weight, bias = getattr(part, "weight", None), getattr(part, "bias", None)
        if isinstance(weight, Tensor) and weight.ndim > 1:
            nn.init.orthogonal_(weight)
        if isinstance(bias, Tensor):
            nn.init.zeros_(bias)
    return net


def grow(x: Tensor) -> Tensor:
    """Each place becomes 2 along every axis."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def shrink(x: Tensor) -> Tensor:
    """The mean of each 2 places along every axis."""
    return POOL[x.ndim - 3](x, 2)


@final
class Modulated(nn.Module):
    """A norm whose gain and bias follow what is given: (B, C, *spatial), (B, D) -> the first.

    With nothing given (D = 0) they are learned constants.
    """

    def __init__(self, axes: int, channels: int, given: int, norm: NormName):
        super().__init__()
        self.batch = BatchNorm[axes](channels, affine=False) if norm == "batch" else None
        self.constant = nn.Parameter(torch.zeros(1, 2 * channels))
        self.map = nn.Linear(given, 2 * channels, bias=False) if given else None

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Divide, multiply by 1 + gain, add the bias, and cut off below zero."""
        both = self.constant if self.map is None else self.constant + self.map(c)
        gain, bias = both.view(*both.shape, *(1,) * (x.ndim - 2)).chunk(2, 1)
        if self.batch is None:
            x = x * (x.square().mean(1, keepdim=True) + 1e-6).rsqrt()
        else:
            x = self.batch(x)
        return F.relu(torch.addcmul(bias, x, 1 + gain))


@final
class Up(nn.Module):
    """norm - grow - 3x3 - norm - 3x3, beside grow - 1x1; twice as many places along every axis."""

    def __init__(self, axes: int, c_in: int, c_out: int, given: int, norm: NormName):
        super().__init__()
        self.norms = nn.ModuleList(Modulated(axes, c, given, norm) for c in (c_in, c_out))
        self.convs = nn.ModuleList(Conv[axes](c, c_out, 3, padding=1) for c in (c_in, c_out))
        self.skip = Conv[axes](c_in, c_out, 1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, c_in, *spatial), (B, given) -> (B, c_out, *doubled)."""
        h = self.convs[0](grow(self.norms[0](x, c)))
        h = self.convs[1](self.norms[1](h, c))
        return h + grow(self.skip(x))  # a 1x1 kernel before growing is the same at less work


@final
class Down(nn.Module):
    """3x3 - 3x3 beside 1x1, then half as many places along every axis unless `halved` is False.

    The first block of a net sees data, which a ReLU at its start would cut.
    """

    def __init__(self, axes: int, c_in: int, c_out: int, *, first: bool, halved: bool = True):
        super().__init__()
        self.first, self.halved = first, halved
        self.convs = nn.ModuleList(Conv[axes](c, c_out, 3, padding=1) for c in (c_in, c_out))
        self.skip = Conv[axes](c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, *spatial) -> (B, c_out, *halved)."""
        h = self.convs[0](x if self.first else F.relu(x))
        h = self.convs[1](F.relu(h))
        if not self.halved:
            return h + self.skip(x)
        return shrink(h) + self.skip(shrink(x))  # both are linear: the order is free


@final
class Attention(nn.Module):
    """x + gain * attention over all places; Zhang et al., 2018 (arXiv:1805.08318), section 3.

    Keys and values are pooled by 2, as in BigGAN's code. The gain starts at zero.
    """

    def __init__(self, channels: int):
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        sizes = (narrow, narrow, half)
        self.maps = nn.ModuleList(nn.Linear(channels, c, bias=False) for c in sizes)
        self.out = nn.Linear(half, channels, bias=False)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *spatial) -> the same."""
        rows, pooled = (v.movedim(1, -1).flatten(1, -2) for v in (x, shrink(x)))  # (B, L, C)
        query, key, value = (m(v) for m, v in zip(self.maps, (rows, pooled, pooled), strict=True))
        found = self.out((query @ key.mT).softmax(2) @ value)
        return x + self.gain * to_grid(found.flatten(1), x.shape[2:])


@final
class ResGenerator(nn.Module):
    """A dense map of z to a small grid, a block for each doubling, and tanh."""

    def __init__(
        self,
        space: Real,
        latent: int,
        conditions: Mapping[str, Space],
        *,
        width: int,
        norm: NormName,
        split: bool,
        attention: bool,
    ):
        super().__init__()
        channels, spatial, times = grid_of(space, "resgan")
        axes, widths = len(spatial), [width * 2**i for i in range(times + 1)][::-1]
        self.base = [n >> times for n in spatial]
        # Each block has an equal part of the noise, and the dense map what is left over.
        part = latent // (times + 1) if split else 0
        self.parts = [latent - part * times, *[part] * times]
        self.cond = ConditionVector(conditions, min(EMBEDDING, latent)) if conditions else None
        given = part + (self.cond.width if self.cond else 0)
        self.first = nn.Linear(self.parts[0], widths[0] * math.prod(self.base))
        self.ups = nn.ModuleList(Up(axes, a, b, given, norm) for a, b in pairwise(widths))
        self.look = Attention(widths[-2]) if attention else None
        self.norm = Modulated(axes, widths[-1], 0, norm)
        self.last = Conv[axes](widths[-1], channels, 3, padding=1)
        self.bound = nn.Tanh() if space.levels else nn.Identity()

    def forward(self, z: Tensor, cond: Condition) -> Tensor:
        """(B, latent) -> (B, C, *spatial)."""
        first, *parts = z.split(self.parts, 1)
        c = z[:, :0] if self.cond is None else self.cond(cond, len(z)).to(z.dtype)
        x = to_grid(self.first(first), self.base)
        for i, (up, part) in enumerate(zip(self.ups, parts, strict=True)):
            if self.look is not None and i == len(parts) - 1:
                x = self.look(x)
            x = up(x, torch.cat([part, c], 1))
        return self.bound(self.last(self.norm(x, c)))


@final
class ResDiscriminator(nn.Module):
    """A block for each halving and one more, the sum over places, a projection of the label."""

    def __init__(
        self, space: Real, conditions: Mapping[str, Space], *, width: int, attention: bool
    ):
        super().__init__()
        channels, spatial, times = grid_of(space, "resgan")
        axes, widths = len(spatial), [channels, *[width * 2 ** (i + 1) for i in range(times)]]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(widths)):
            layers.append(Down(axes, a, b, first=i == 0))
            if attention and i == 0:
                layers.append(Attention(b))
        layers.append(Down(axes, widths[-1], widths[-1], first=False, halved=False))
        self.body = nn.Sequential(*layers)
        self.head = Projection(widths[-1], conditions)

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, C, *spatial) -> (B,)."""
        return self.head(F.relu(self.body(x)).flatten(2).sum(2), cond)


def sn_players(
    space: Real,
    latent: int,
    conditions: Mapping[str, Space],
    *,
    width: int = 32,
    norm: NormName = "rms",
) -> tuple[ResGenerator, ResDiscriminator]:
    """SNGAN's pair: a generator (B, latent) -> (B, *shape), a discriminator (B, *shape) -> (B,).

    Args:
        space: One datum, (C, *spatial), every axis even and at least 8; with levels, the generator
            ends in tanh.
        latent: Size of the generator's noise.
        conditions: Labels and real vectors; both nets see them.
        width: Channels at the data's own size; doubled at each halving.
        norm: In the generator, "rms" of each place or "batch". The discriminator has none: its
            weights have spectral norm 1.
    """
    vectors_only(conditions, "resgan")
    generator = ResGenerator(
        space, latent, conditions, width=width, norm=norm, split=False, attention=False
    )
    discriminator = ResDiscriminator(space, conditions, width=width, attention=False)
    orthogonal(generator)
    normalise(orthogonal(discriminator))
    return generator, discriminator


def biggan_players(
    space: Real,
    latent: int,
    conditions: Mapping[str, Space],
    *,
    width: int = 32,
    norm: NormName = "rms",
    attention: bool = True,
) -> tuple[ResGenerator, ResDiscriminator]:
    """BigGAN's pair: a generator (B, latent) -> (B, *shape), a discriminator (B, *shape) -> (B,).

    Args:
        space: As for `sn_players`.
        latent: Size of the noise; each block takes an equal part of it.
        conditions: Labels and real vectors; both nets see them.
        width: Channels at the data's own size; doubled at each halving.
        norm: In the generator, "rms" of each place or "batch".
        attention: At half the data's size, in both nets.

    Raises:
        BadInput: The data have no grid that can be halved, or a condition is a text or a grid.
    """
    vectors_only(conditions, "resgan")
    generator = ResGenerator(
        space, latent, conditions, width=width, norm=norm, split=True, attention=attention
    )
    discriminator = ResDiscriminator(space, conditions, width=width, attention=attention)
    for net in (generator, discriminator):
        normalise(orthogonal(net))
    return generator, discriminator
