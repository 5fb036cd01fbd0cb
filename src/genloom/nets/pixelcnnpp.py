"""The net of PixelCNN++: two causal stacks through coarser grids and back, with skips.

`PixelCnnPp` computes every place of a picture at once, for training; to sample, its `Reader`
computes one place after the other.

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
        channels, height, self.columns = space.shape
        halvings = 0
        while height % 2 ** (halvings + 1) == self.columns % 2 ** (halvings + 1) == 0:
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

    def reader(self, cond: Condition, n: int) -> Reader:
        """What reads n pictures from their first pixel on, under conditions of n rows."""
        return Reader(self, cond, n)


@final
class Reader:
    """The same function, of pictures whose pixels become known one by one, in raster order.

    No place is computed twice, as each window keeps those rows of its input that it reaches:
    Ramachandran et al., 2017 (arXiv:1704.06001). The vertical stack (0) computes a row when those
    above are known, the horizontal one (1) a place. A coarse place is computed with the first of
    the fine ones under it, as it knows no more than that one; the others find what it grew to.

    Args:
        net: Whose outputs are wanted.
        cond: Name -> (n, ...).
        n: Pictures.
    """

    @torch.no_grad()
    def __init__(self, net: PixelCnnPp, cond: Condition, n: int):
        self.net, self.told = net, net.cond(cond, n)[:, None]
        # Inputs of each window, with zeros beyond the edges; wide enough for the finest grid.
        self._kept = {
            window: self.told.new_zeros(
                n, window.size[0], net.columns + window.size[1], window.inside
            )
            for window in net.modules()
            if isinstance(window, Window)
        }
        # What coarse places grew to and what the vertical stack hands over, in the latest row.
        self._row: dict[nn.Module, Tensor] = {
            grow: self.told.new_zeros(n, net.columns, net.cond.width)
            for pair in net.grow
            for grow in _two(pair)
        }

    @torch.no_grad()
    def outputs(self, r: int, c: int) -> Tensor:
        """What the net says of a place, (n, outputs), when all before it have been read."""
        net, row, place = self.net, slice(0, self.net.columns), slice(c, c + 1)
        if c == 0:
            self._scale(0, 0, self._seen(net.above, row) + net.bias[0], r, row)
        h = self._scale(0, 1, self._seen(net.left, place) + net.bias[1], r, place)
        return net.head(rms_norm(h))[:, 0]

    @torch.no_grad()
    def read(self, c: int, pixel: Tensor) -> None:
        """Read the pixel of the place that was asked for last, in column c: (n, C)."""
        for window in (self.net.above, self.net.left):
            self._keep(window, F.pad(pixel, (0, 1), value=1.0)[:, None], slice(c, c + 1))

    def _scale(self, scale: int, stack: int, x: Tensor, r: int, columns: slice) -> Tensor:
        """Columns of row r through the blocks of a scale and of those below: (n, columns, D)."""
        net, below, saved = self.net, self.net.scales - 1 - scale, []
        for i in range(scale * net.layers, (scale + 1) * net.layers):
            x = self._through(net.down_blocks[i], stack, x, columns)
            saved.append(x)
        if below:
            shrink, grow = (net.shrink_v, net.shrink_h)[stack][scale], _two(net.grow[below - 1])
            assert isinstance(shrink, Window)
            self._keep(shrink, x, columns)
            if r % 2 == columns.start % 2 == 0:
                half = slice(columns.start // 2, (columns.stop + 1) // 2)
                x = self._scale(scale + 1, stack, self._seen(shrink, columns, 2), r // 2, half)
                x = grow[stack](x).repeat_interleave(2, 1)
                self._row[grow[stack]][:, 2 * half.start : 2 * half.stop] = x
            x = self._row[grow[stack]][:, columns]
        for i in range(below * net.layers, (below + 1) * net.layers):
            x = x + _two(net.skips[i])[stack](saved.pop())
            x = self._through(net.up_blocks[i], stack, x, columns)
        return x

    def _through(self, block: nn.Module, stack: int, x: Tensor, columns: slice) -> Tensor:
        assert isinstance(block, Block)
        window = (block.above, block.left)[stack]
        self._keep(window, rms_norm(x), columns)
        seen = self._seen(window, columns)
        if stack == 1:
            return block.right(x, seen, self._row[block][:, columns])
        x, self._row[block] = block.down(x, seen, *block.shifts(self.told))
        return x

    def _keep(self, window: Window, x: Tensor, columns: slice) -> None:
        """Let a window keep columns of a row; at column 0 a row begins and the oldest one goes."""
        if columns.start == 0:
            self._kept[window] = self._kept[window].roll(-1, 1)
        left = window.reach.left
        self._kept[window][:, -1, left + columns.start : left + columns.stop] = x

    def _seen(self, window: Window, columns: slice, stride: int = 1) -> Tensor:
        """What a window makes of the rows that it keeps: (n, columns / stride, out)."""
        wide = window.size[1]
        near = self._kept[window][:, :, columns.start : columns.stop + wide - 1]
        near = near.unfold(2, wide, stride)  # (n, rows, columns / stride, in, wide)
        return F.linear(near.permute(0, 2, 1, 4, 3).flatten(2), window.weight)


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
