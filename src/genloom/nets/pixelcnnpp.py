"""The net of PixelCNN++: two causal stacks through coarser grids and back, with skips.

Salimans et al., 2017 (arXiv:1701.05517), sections 2.3 (coarser grids), 2.4 (skips), 2.5 (dropout).
Deviations: the blocks are those of `pixelcnn`, with norms and zero output maps in place of
concatenated ELUs; coarse grids go back up by repetition and a linear map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Real, Space
from genloom.nets.embed import ConditionVector
from genloom.nets.masked import Reach, Window
from genloom.nets.pixelcnn import STEM, Block
from genloom.nets.pointwise import rms_norm


@final
class PixelCnnPp(nn.Module):
    """net(x, cond) -> outputs at each place from the places before it, in raster order.

    A coarse place knows what the first of the fine ones under it knows, so that going down and up
    again lets nothing through. Only as many scales are used as the sides can be halved.

    Args:
        space: (C, H, W).
        outputs: Channels of the output.
        conditions: Those that enter as a vector shift the gates of every block.
        width: Features of a place in each stack.
        layers: Blocks at each scale, on the way down; as many on the way up.
        scales: Grids, each half the last one's size.
        kernel: Columns that the vertical stack sees in each block.
        dropout: Share of each branch's gated features that is dropped in training.
    """

    def __init__(
        self,
        space: Real,
        outputs: int,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=2)] = 48,
        layers: Annotated[int, Interval(ge=1)] = 2,
        scales: Annotated[int, Interval(ge=1, le=5)] = 3,
        kernel: Literal[3, 5] = 3,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
    ):
        super().__init__()
        channels, height, columns = space.shape
        halvings = 0
        while height % 2 ** (halvings + 1) == columns % 2 ** (halvings + 1) == 0:
            halvings += 1
        self.scales, self.layers = min(scales, 1 + halvings), layers
        self.cond = ConditionVector(conditions, width)
        inside = channels + 1  # the last one says that there is a pixel
        self.above = Window(inside, width, Reach(STEM, 1, STEM, STEM))
        self.left = Window(inside, width, Reach(0, 0, STEM, -1))
        # Not zero: the first places see nothing else, and a norm of nothing has no bounded slope.
        self.bias = nn.Parameter(torch.randn(2, width))
        conditional, half = bool(self.cond.parts), kernel // 2

        def blocks() -> nn.ModuleList:
            n = self.scales * layers
            return nn.ModuleList(Block(width, half, dropout, conditional) for _ in range(n))

        self.down_blocks, self.up_blocks = blocks(), blocks()
        between = range(self.scales - 1)
        self.shrink_v = nn.ModuleList(Window(width, width, Reach(1, 0, 1, 1)) for _ in between)
        self.shrink_h = nn.ModuleList(Window(width, width, Reach(0, 0, 1, 0)) for _ in between)
        self.grow = nn.ModuleList(_pair(width) for _ in between)
        self.skips = nn.ModuleList(_pair(width) for _ in self.up_blocks)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H, W); x may have fewer rows, in whole coarse ones."""
        x = F.pad(x.movedim(1, -1), (0, 1), value=1.0)
        told = self.cond(cond, len(x))[:, None, None]
        v, h = self.above(x) + self.bias[0], self.left(x) + self.bias[1]
        saved: list[tuple[Tensor, Tensor]] = []
        for i, block in enumerate(self.down_blocks):
            v, h = _through(block, v, h, told)
            saved.append((v, h))
            scale = i // self.layers
            if i % self.layers == self.layers - 1 and scale < self.scales - 1:
                v, h = _halved(self.shrink_v[scale], v), _halved(self.shrink_h[scale], h)
        for i, (block, skip) in enumerate(zip(self.up_blocks, self.skips, strict=True)):
            (old_v, old_h), (skip_v, skip_h) = saved.pop(), _two(skip)
            v, h = _through(block, v + skip_v(old_v), h + skip_h(old_h), told)
            scale = i // self.layers
            if i % self.layers == self.layers - 1 and scale < self.scales - 1:
                grow_v, grow_h = _two(self.grow[scale])
                v, h = _doubled(grow_v(v)), _doubled(grow_h(h))
        return self.head(rms_norm(h)).movedim(-1, 1)

    @property
    def rows(self) -> int:
        """Rows of the picture under one of the coarsest grid."""
        return 2 ** (self.scales - 1)


def _through(block: nn.Module, v: Tensor, h: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
    assert isinstance(block, Block)
    v, link = block.down(v, block.above(rms_norm(v)), *block.shifts(told))
    return v, block.right(h, block.left(rms_norm(h)), link)


def _halved(window: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(window, Window)
    return window(x, stride=2)


def _doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 1).repeat_interleave(2, 2)


def _pair(width: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(2))


def _two(pair: nn.Module) -> tuple[nn.Module, nn.Module]:
    assert isinstance(pair, nn.ModuleList)
    return pair[0], pair[1]
