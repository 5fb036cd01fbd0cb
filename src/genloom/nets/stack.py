"""Blocks one after the other, with the first input mixed into each later one."""

from __future__ import annotations

from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from genloom.errors import BadInput
from genloom.nets.attention import causal
from genloom.nets.pointwise import rms_norm
from genloom.nets.transformer_block import Block


@final
class Stack(nn.Module):
    """(B, L, D) -> the same, normed at the start (Jordan et al., modded-nanogpt, 2024).

    Args:
        width: Features of a position.
        layers: Blocks.
        heads: Of attention.
        expand: Hidden features of the feed-forward nets, in widths.
        dropout: Share of each branch's output that is dropped in training.
    """

    def __init__(self, width: int, layers: int, heads: int, expand: int, dropout: float):
        super().__init__()
        check_heads(width, heads)
        self.mix = nn.Parameter(torch.full((layers - 1,), 0.1))
        self.blocks = nn.ModuleList(
            Block(width, heads, expand, dropout, heads, gated=False) for _ in range(layers)
        )

    def forward(self, x: Tensor, turns: Tensor, mask: Tensor | None = None) -> Tensor:
        """All blocks.

        Args:
            x: (B, L, D).
            turns: Of `attention.turns`, (L, features / 2, 2).
            mask: Which positions (columns) each one (row) sees, broadcastable to (B, 1, L, L);
                None: all.
        """
        angles = torch.view_as_complex(turns)[:, None, None]
        if mask is None:
            mask = torch.ones(1, 1, 1, x.shape[1], dtype=torch.bool, device=x.device)
        x = first = rms_norm(x)
        for i, block in enumerate(self.blocks):
            if i:
                x = torch.addcmul(x, first, self.mix[i - 1])
            x = block(x, angles, partial(causal, mask, i))
        return x


def check_heads(width: int, heads: int) -> None:
    """Refuse a width that heads do not divide evenly.

    Raises:
        BadInput: Rotary positions take pairs of features.
    """
    if width % (2 * heads):
        raise BadInput(
            f"width = {width} with heads = {heads} leaves {width / heads:g} features a head: "
            f"an even number is needed. Choose a multiple of {2 * heads}."
        )
