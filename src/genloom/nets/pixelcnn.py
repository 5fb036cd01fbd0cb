"""The gated PixelCNN: a stack that sees all rows above, and one that sees the row to the left.

Van den Oord et al., 2016 (arXiv:1606.05328), Eq. 2 (gate), Eq. 4 (conditions), Fig. 2 (a block).
Deviations, for short budgets: both stacks have a residual path with a norm before each branch and
output maps that start at zero; the link reads the vertical stack after its update rather than
before its gate, at half the cost; every place has a learned vector, as pictures are not
stationary. Kernels are matrices in `blocks`, so that Muon finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, final

import torch
from torch import Tensor, nn

from genloom.core import Interval, Space, Tokens
from genloom.nets.embed import Dropout
from genloom.nets.masked import Cache, Maps, Raster, Reach, Spots, Window
from genloom.nets.pointwise import rms_norm

STEM = 3  # how far the first windows reach: the paper's first kernel is 7x7
EMBED = 32  # features of a token, at most


@final
class PixelCnn(Raster):
    """Each token of a grid from all tokens before it that lie near enough.

    Args:
        space: (H, W) tokens.
        conditions: Those that enter as a vector shift the gates of every block.
        width: Features of a place in each stack.
        layers: Blocks.
        kernel: Columns that the vertical stack sees in each block; it sees half of it in rows.
        dropout: Share of each branch's gated features that is dropped in training.
    """

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=2)] = 64,
        layers: Annotated[int, Interval(ge=1)] = 7,
        kernel: Literal[3, 5] = 3,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
    ):
        embed = min(width, EMBED)
        super().__init__(space, conditions, width, embed, STEM)
        self.places = self.places_of(2)
        self.above = Window(embed, width, Reach(STEM, 1, STEM, STEM))
        self.left = Window(embed, width, Reach(0, 0, STEM, -1))
        self.blocks = nn.ModuleList(
            Block(width, kernel // 2, dropout, bool(self.cond.parts)) for _ in range(layers)
        )

    def sizes(self) -> Mapping[str, int]:
        """The normed input of each stack of each block, and what the vertical one hands over."""
        width = self.head.in_features
        each = {"v": width, "h": width, "link": 2 * width}
        return {f"{name}{i}": n for i in range(len(self.blocks)) for name, n in each.items()}

    def whole(self, maps: Maps, cond: Tensor) -> Tensor:
        """All places: maps["embed"] and (B, D) -> (B, H, W, D); it fills the other maps."""
        places = self.places.unflatten(1, (self.height, self.columns))
        v = self.above(maps["embed"]) + places[0]
        h = self.left(maps["embed"]) + places[1]
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            shifts = block.shifts(cond[:, None, None])
            maps[f"v{i}"] = normed = rms_norm(v)
            v, link = block.down(v, block.above(normed), *shifts)
            maps[f"link{i}"], maps[f"h{i}"] = link, rms_norm(h)
            h = block.right(h, block.left(maps[f"h{i}"]), link)
        return rms_norm(h)

    def open_row(self, cache: Cache, at: Spots) -> None:
        """The vertical stack of one row in each of (m, columns)."""
        v = self.above.read(cache, "embed", at) + self._places(0, at)
        cond, kept = cache.cond[at.rows], self.kept(at)
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            cache.put(f"v{i}", kept, rms_norm(v)[:, : self.columns])
            v, link = block.down(v, block.above.read(cache, f"v{i}", at), *block.shifts(cond))
            cache.put(f"link{i}", kept, link[:, : self.columns])

    def advance(self, cache: Cache, at: Spots) -> Tensor:
        """The horizontal stack at one place in each row: (n, D)."""
        h = self.left.read(cache, "embed", at) + self._places(1, at)
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            cache.put(f"h{i}", at, rms_norm(h))
            h = block.right(h, block.left.read(cache, f"h{i}", at), cache.get(f"link{i}", at))
        return rms_norm(h)

    def _places(self, stack: int, at: Spots) -> Tensor:
        return self.places[stack, at.r * self.columns + at.c.clamp(max=self.columns - 1)]


@final
class Block(nn.Module):
    """One layer of both stacks: `above` and `left` are windows, `down` and `right` the rest."""

    def __init__(self, width: int, half: int, dropout: float, conditional: bool):
        super().__init__()
        self.above = Window(width, 2 * width, Reach(half, 0, half, half))
        self.left = Window(width, 2 * width, Reach(0, 0, half, 0))
        self.link = nn.Linear(width, 2 * width, bias=False)
        self.outs = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(4 * width))
        self.cond = nn.Linear(width, 4 * width, bias=False) if conditional else None
        self.dropout = Dropout(dropout)
        for out in self.outs:
            assert isinstance(out, nn.Linear)
            nn.init.zeros_(out.weight)

    def shifts(self, cond: Tensor) -> tuple[Tensor, Tensor]:
        """What is added before each stack's gate: (..., D) -> twice (..., 2 D)."""
        total = self.bias if self.cond is None else self.bias + self.cond(cond)
        first, second = total.chunk(2, -1)
        return first, second

    def down(self, v: Tensor, seen: Tensor, mine: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """The vertical stack's next features, and what the horizontal one reads of them."""
        v = v + self.outs[0](self.dropout(gate(seen + mine)))
        return v, self.link(rms_norm(v)) + other

    def right(self, h: Tensor, seen: Tensor, link: Tensor) -> Tensor:
        """The horizontal stack's next features."""
        return h + self.outs[1](self.dropout(gate(seen + link)))


def gate(x: Tensor) -> Tensor:
    """tanh(a) * sigmoid(b) of the halves of the last axis: arXiv:1606.05328, Eq. 2."""
    a, b = x.chunk(2, -1)
    return a.tanh() * b.sigmoid()
