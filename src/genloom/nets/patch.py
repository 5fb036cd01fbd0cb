"""PatchGAN, a discriminator that judges every patch by itself; Isola et al., 2017 (1611.07004)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from genloom.core import Condition, Real, Space
from genloom.nets.conv import Conv, grid_of, half
from genloom.nets.embed import ConditionGrid, ConditionVector, entering
from genloom.nets.norm import GroupNorm


@final
class Patch(nn.Module):
    """Strided convolutions to a logit for each patch: (B, C, *spatial) -> (B, patches).

    Isola et al., 2017 (arXiv:1611.07004), appendix 6.1.2. A condition that is a grid is seen beside
    the datum; one that is a vector is projected on the last features of every patch (Miyato and
    Koyama, 2018, arXiv:1802.05637, Eq. 3). Deviations: no normalization that looks at other rows,
    and SiLU for LeakyReLU, which the fused norm has.

    Args:
        space: One datum, every axis even and at least 8.
        conditions: Labels, real vectors, and grids of the datum's size.
        width: Channels after the first halving; doubled at each further layer.
        halvings: Strided layers: 1, 2 or 3 of them see patches of 16, 34 or 70 places a side. A
            datum whose halves would fall below 4 places has fewer.
        norm: Normalize each channel of each row (instance norm), but in the first and last layer.
    """

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        width: int,
        halvings: int,
        norm: bool,
    ):
        super().__init__()
        channels, spatial, times = grid_of(space, "a patch discriminator")
        axes, times = len(spatial), min(times, halvings)
        self.grids = ConditionGrid(conditions)
        widths = [width * 2**i for i in range(times + 1)]
        layers: list[nn.Module] = [half(axes, channels + self.grids.channels, width), nn.SiLU()]
        for i, (c_in, c_out) in enumerate(pairwise(widths), 1):
            layers.append(half(axes, c_in, c_out) if i < times else _same(axes, c_in, c_out))
            layers.append(GroupNorm(c_out, c_out) if norm else nn.SiLU())
        self.body = nn.Sequential(*layers)
        self.head = _same(axes, widths[-1], 1)
        vectors = entering(conditions, "vector")
        scale = widths[-1] ** -0.5
        self.cond = ConditionVector(vectors, widths[-1], scale=scale) if vectors else None

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, C, *spatial) -> (B, patches)."""
        h = self.body(self.grids(x, cond))
        logits = self.head(h).flatten(1)
        if self.cond is None:
            return logits
        likes = (h.flatten(2).mean(2) * self.cond(cond, len(x))).sum(1, keepdim=True)
        return logits + likes


def _same(axes: int, c_in: int, c_out: int) -> nn.Module:
    """A 4-wide convolution of stride 1, one place smaller than its input."""
    return Conv[axes](c_in, c_out, 4, padding=1)
