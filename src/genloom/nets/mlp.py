"""A residual MLP for data without spatial axes, modulated by time and conditions.

The block is that of diffusion transformers without attention (adaLN-Zero; Peebles and Xie, 2022,
arXiv:2212.09748, section 3.2): a norm that is scaled and shifted, two layers, and a gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space
from genloom.errors import BadInput
from genloom.nets.embed import ConditionSequence, ConditionVector, Dropout, Fourier


@final
class Mlp(nn.Module):
    """net(x, t, cond) -> (B, out_channels); zero everywhere before training.

    Args:
        in_channels: Features of x.
        out_channels: Of the output.
        axes: Spatial axes: 0.
        conditions: Name -> space; a sequence enters as the mean of its positions.
        width: Of the residual stream.
        blocks: Number of residual blocks.
        expand: Width of a block's hidden layer, in units of `width`.
        dropout: Share of values dropped inside the blocks.
        high: First frequency of the time embedding.
        low: Last one. The defaults suit ln(sigma)/4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        axes: int,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=8, le=8192)] = 192,
        blocks: Annotated[int, Interval(ge=1, le=64)] = 3,
        expand: Annotated[int, Interval(ge=1, le=8)] = 2,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
        high: float = 64.0,
        low: float = 0.25,
    ):
        super().__init__()
        if axes:
            raise BadInput(f"an Mlp needs data with no spatial axis, not {axes}. Use nets.unet.")
        self.time = nn.Sequential(
            Fourier(width, high=high, low=low),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
        )
        self.vector = ConditionVector(conditions, width)
        self.sequence = ConditionSequence(conditions, width)
        self.first = nn.Linear(in_channels, width)
        self.blocks = nn.ModuleList(Block(width, expand * width, dropout) for _ in range(blocks))
        self.last = nn.Linear(width, out_channels)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """(B, in_channels), (B,) -> (B, out_channels)."""
        modulation = self.time(t.to(x.dtype)) + self.vector(cond, len(x))
        context = self.sequence(cond, len(x))
        if context is not None:
            modulation = modulation + context.mean(1)
        modulation = F.silu(modulation)
        h = self.first(x)
        for block in self.blocks:
            h = block(h, modulation)
        return self.last(F.layer_norm(h, h.shape[1:]))


@final
class Block(nn.Module):
    """h + gate * MLP(norm(h) * (1 + scale) + shift), with gate zero at first."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.modulate = nn.Linear(width, 3 * width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor, modulation: Tensor) -> Tensor:
        """(B, width), (B, width) -> (B, width)."""
        scale, shift, gate = self.modulate(modulation).chunk(3, 1)
        inner = torch.addcmul(shift, F.layer_norm(h, h.shape[1:]), 1 + scale)
        return torch.addcmul(h, gate, self.outer(self.dropout(F.silu(self.inner(inner)))))
