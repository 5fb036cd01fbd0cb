"""How grids lie in memory: channels fastest, all the way through a net and back.

A gradient that comes in another layout than its activation makes elementwise backward passes
several times slower, and one tensor of the wrong layout is enough to bring that about.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def channels_last(x: Tensor) -> Tensor:
    """A copy of (B, C, *spatial) whose channels are fastest in memory; 2 or 3 spatial axes.

    `.contiguous` leaves one channel with strides of either layout, which convolutions take for the
    other one.
    """
    return torch.empty_like(x, memory_format=FORMATS[x.ndim]).copy_(x)


def to_channels_last(module: nn.Module) -> nn.Module:
    """The module with all kernels of two or three spatial axes in that layout, in place."""
    for p in module.parameters():
        if p.ndim in FORMATS:
            p.data = channels_last(p.data)
    return module


def to_vector(h: Tensor) -> Tensor:
    """(B, C, *spatial) -> (B, places * C), channels fastest: no copy where they are in memory."""
    return h.movedim(1, -1).flatten(1)


def to_grid(v: Tensor, spatial: Sequence[int]) -> Tensor:
    """(B, places * C) -> (B, C, *spatial), the inverse; channels are fastest in memory."""
    return v.view(len(v), *spatial, -1).movedim(-1, 1)
