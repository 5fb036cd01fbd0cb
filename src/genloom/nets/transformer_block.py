"""One block of the decoder: grouped queries, then squared ReLU or SwiGLU, from normed inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.nets.embed import Dropout
from genloom.nets.pointwise import feed_forward, rms_norm, rotate


@final
class Block(nn.Module):
    """Attention, then a feed-forward net, each on the normed input and added to it."""

    def __init__(
        self, width: int, heads: int, expand: int, dropout: float, kv_heads: int, gated: bool
    ):
        super().__init__()
        self.kv_heads, self.gated, groups = kv_heads, gated, heads // kv_heads
        # A stack of matrices of one shape: as many of queries as a group has, of keys, of values.
        self.qkv = nn.Parameter(torch.empty(groups + 2, width // groups, width))
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, (1 + gated) * expand * width, bias=False)
        self.down = nn.Linear(expand * width, width, bias=False)
        self.dropout = Dropout(dropout)
        bound = math.sqrt(3 / width)  # uniform with deviation 1 / sqrt(width)
        nn.init.uniform_(self.qkv, -bound, bound)
        nn.init.uniform_(self.up.weight, -bound, bound)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(
        self, x: Tensor, turns: Tensor, attend: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> Tensor:
        """(B, L, D) -> the same; attend(q, k, v), each (B, L, heads, features); see `Attend`."""
        shape = len(self.qkv), self.kv_heads, -1
        qkv = F.linear(rms_norm(x), self.qkv.flatten(0, 1)).unflatten(-1, shape)
        y = attend(*rotate(qkv, turns))
        x = x + self.dropout(self.out(y.flatten(2)))
        return x + self.dropout(self._feed(rms_norm(x)))

    def _feed(self, x: Tensor) -> Tensor:
        if not self.gated:
            return feed_forward(x, self.up.weight, self.down.weight)
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)
