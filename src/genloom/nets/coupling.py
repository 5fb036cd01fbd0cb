"""What a coupling asks for scale and shift: a small net over 0 to 3 spatial axes.

Kingma and Dhariwal, 2018 (arXiv:1807.03039), section 3.3: three layers, the last one zero at first,
so that every coupling begins as the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, final

import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space
from genloom.nets.conv import vectors_only
from genloom.nets.embed import ConditionVector
from genloom.nets.unet import CONVS, Pointwise


@final
class CouplingNet(nn.Module):
    """net(x, cond) -> `features` numbers a place; zero everywhere before training.

    ReLU over grids, as there: SiLU takes a fifth of the step's time. SiLU where there is no axis,
    for a density with continuous slopes. Conditions are added to the first hidden layer.

    Args:
        shape: Of x: (C, *spatial).
        features: Channels of the output.
        conditions: Labels and real vectors.
        width: Of the two hidden layers.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        features: int,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=1, le=4096)] = 64,
    ):
        super().__init__()
        vectors_only(conditions, "a coupling")
        channels, *spatial = shape
        self.bend = F.relu if spatial else F.silu
        self.first = _wide(len(spatial), channels, width)
        self.cond = ConditionVector(conditions, width, scale=0.5) if conditions else None
        self.second = Pointwise(len(spatial), width, width) if spatial else nn.Linear(width, width)
        self.last = _wide(len(spatial), width, features)
        for p in self.last.parameters():
            nn.init.zeros_(p)

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, C, *spatial) -> (B, features, *spatial)."""
        h = self.first(x)
        if self.cond is not None:
            shift = self.cond(cond, len(x))
            h = h + shift.view(*shift.shape, *(1,) * (h.ndim - 2))
        return self.last(self.bend(self.second(self.bend(h))))


def _wide(axes: int, before: int, after: int) -> nn.Module:
    """A convolution of width 3, or a matrix where there is no axis."""
    return CONVS[axes](before, after, 3, padding=1) if axes else nn.Linear(before, after)
