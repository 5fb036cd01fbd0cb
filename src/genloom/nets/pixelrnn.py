"""PixelRNN: recurrent layers that run over a picture row by row or along its diagonals.

Van den Oord et al., 2016 (arXiv:1601.06759): the Row LSTM (section 3.1), the Diagonal BiLSTM by
skewing (section 3.2) and residual connections (section 3.3). Deviations: a norm before each layer,
output maps that start at zero, and a learned vector at every place, as in `pixelcnn`; conditions
are added to the first features; the map from the right also reads the tokens themselves, as it is
moved down a row: without that, the last token of a row is unseen from the start of the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Interval, Space, Tokens
from genloom.nets.masked import Cache, Maps, Raster, Reach, Spots, Window
from genloom.nets.packed import BLOCK
from genloom.nets.pointwise import rms_norm

STEM = 3  # how far the first window reaches: the paper's first kernel is 7x7
EMBED = 32  # features of a token, at most


@final
class PixelRnn(Raster):
    """Each token of a grid from the recurrent state at its place.

    Args:
        space: (H, W) tokens.
        conditions: Those that enter as a vector are added to every place.
        width: Features of a place and of a state.
        layers: Recurrent layers.
        scan: "row": a place's state follows from the three nearest ones in the row above, and sees
            a triangle of the picture. "diagonal": from the left and above, and in a second map
            from the right and above; together they see all that is known, at a higher price.
    """

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=2)] = 64,
        layers: Annotated[int, Interval(ge=1)] = 4,
        scan: Literal["row", "diagonal"] = "row",
    ):
        embed = min(width, EMBED)
        super().__init__(space, conditions, width, embed, STEM)
        self.places = self.places_of(1)
        self.above = Window(embed, width, Reach(STEM, 1, STEM, STEM))
        self.left = Window(embed, width, Reach(0, 0, STEM, -1))
        layer = RowLstm if scan == "row" else DiagonalLstm
        self.blocks = nn.ModuleList(layer(str(i), width, embed) for i in range(layers))

    def sizes(self) -> Mapping[str, int]:
        """What each layer remembers."""
        width = self.head.in_features
        return {name: width for block in self.blocks for name in _layer(block).names}

    def whole(self, maps: Maps, cond: Tensor) -> Tensor:
        """All places: maps["embed"] and (B, D) -> (B, H, W, D); it fills the other maps."""
        x = self.above(maps["embed"]) + self.left(maps["embed"]) + cond[:, None, None]
        x = x + self.places[0].unflatten(0, (self.height, self.columns))
        for block in self.blocks:
            x = x + _layer(block).whole(maps, rms_norm(x))
        return rms_norm(x)

    def open_row(self, cache: Cache, at: Spots) -> None:
        """Run each layer over the row above, where there is one and the layer needs it whole."""
        for block in self.blocks:
            _layer(block).close_row(cache, Spots(at.rows, at.r - 1, self.kept(at).c))

    def advance(self, cache: Cache, at: Spots) -> Tensor:
        """One place in each row: (n, D)."""
        x = self.above.read(cache, "embed", at) + self.left.read(cache, "embed", at)
        x = x + cache.cond[at.rows] + self.places[0, at.r * self.columns + at.c]
        for block in self.blocks:
            x = x + _layer(block).advance(cache, rms_norm(x), at)
        return rms_norm(x)


@final
class RowLstm(nn.Module):
    """An LSTM from row to row, whose maps are convolutions along the row.

    Args:
        tag: Of its maps.
        width: Features of the input, the state and the output.
        embed: Not used: it sees tokens through its input alone.
    """

    def __init__(self, tag: str, width: int, embed: int):
        super().__init__()
        self.x, self.h, self.c = self.names = tuple(f"{name}{tag}" for name in "xhc")
        self.seen = Window(width, 4 * width, Reach(0, 0, 1, 0))
        self.state = Window(width, 4 * width, Reach(0, 0, 1, 1))
        self.bias = _bias(width)
        self.out = _zero(width)

    def whole(self, maps: Maps, x: Tensor) -> Tensor:
        """(B, H, W, D) -> the same."""
        gates = (self.seen(x) + self.bias).split(1, 1)
        h = c = torch.zeros_like(x[:, :1])
        hs, cs = [], []
        for row in gates:
            h, c = cell(row + self.state(h), c)
            hs.append(h)
            cs.append(c)
        maps |= {self.x: x, self.h: torch.cat(hs, 1), self.c: torch.cat(cs, 1)}
        return self.out(maps[self.h])

    def close_row(self, cache: Cache, at: Spots) -> None:
        """Nothing: states are known place by place."""

    def advance(self, cache: Cache, x: Tensor, at: Spots) -> Tensor:
        """The output at one place in each row, (n, D)."""
        cache.put(self.x, at, x)
        above = Spots(at.rows, at.r - 1, at.c)
        gates = self.seen.read(cache, self.x, at) + self.bias
        gates = gates + self.state.read(cache, self.h, above)
        h, c = cell(gates, cache.get(self.c, above))
        cache.put(self.h, at, h)
        cache.put(self.c, at, c)
        return self.out(h)


@final
class DiagonalLstm(nn.Module):
    """Two LSTMs along the diagonals; the one from the right is moved down a row, and is no future.

    Args:
        tag: Of its maps.
        width: Features of the input, the states and the output.
        embed: Features of a token.
    """

    def __init__(self, tag: str, width: int, embed: int):
        super().__init__()
        self.x, self.h, self.c, self.right = self.names = tuple(f"{name}{tag}" for name in "xhcr")
        self.seen = nn.ModuleList(
            nn.Linear(width + more, 4 * width, bias=False) for more in (0, embed)
        )
        self.state = nn.ModuleList(nn.Linear(2 * width, 4 * width, bias=False) for _ in range(2))
        self.bias = nn.ParameterList(_bias(width) for _ in range(2))
        self.out = _zero(width)

    def whole(self, maps: Maps, x: Tensor) -> Tensor:
        """(B, H, W, D) -> the same."""
        left, c = self._scan(0, x)
        told = torch.cat([x, maps["embed"]], -1)
        right = self._scan(1, told.flip(2))[0].flip(2)
        maps |= {self.x: x, self.h: left, self.c: c, self.right: right}
        return self.out(left + F.pad(right, (0, 0, 0, 0, 1, -1)))

    def close_row(self, cache: Cache, at: Spots) -> None:
        """Run from the right over a whole row, (m, columns), unless it lies above the first."""
        within = (at.r[:, 0] >= 0).nonzero()[:, 0]
        if not len(within):
            return
        # Whole blocks, the last one repeated: the products of a row are the same in any company.
        within = F.pad(within[None], (0, -len(within) % BLOCK), mode="replicate")[0]
        rows, r = at.rows[within, 0], at.r[within, 0]
        h = c = cache.get(self.x, Spots(rows, r, at.c[-1:])) * 0
        for column in at.c.flip(0):
            here = Spots(rows, r, column)
            above = cache.get(self.right, Spots(rows, r - 1, column))
            told = torch.cat([cache.get(self.x, here), cache.get("embed", here)], -1)
            h, c = cell(self._gates(1, told, above, h), c)
            cache.put(self.right, here, h)

    def advance(self, cache: Cache, x: Tensor, at: Spots) -> Tensor:
        """The output at one place in each row, (n, D)."""
        cache.put(self.x, at, x)
        above, before = Spots(at.rows, at.r - 1, at.c), Spots(at.rows, at.r, at.c - 1)
        gates = self._gates(0, x, cache.get(self.h, above), cache.get(self.h, before))
        h, c = cell(gates, cache.get(self.c, before))
        cache.put(self.h, at, h)
        cache.put(self.c, at, c)
        return self.out(h + cache.get(self.right, above))

    def _gates(self, side: int, x: Tensor, above: Tensor, before: Tensor) -> Tensor:
        return (
            self.seen[side](x) + self.state[side](torch.cat([above, before], -1)) + self.bias[side]
        )

    def _scan(self, side: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """States from the left and above, both (B, H, W, D), one diagonal at a time."""
        gates = skewed(self.seen[side](x) + self.bias[side]).unbind(2)
        h = c = torch.zeros_like(gates[0][..., : gates[0].shape[-1] // 4])
        hs, cs = [], []
        for diagonal in gates:  # left of the grid gates are zero, and so are the states
            above = F.pad(h, (0, 0, 1, -1))
            h, c = cell(diagonal + self.state[side](torch.cat([above, h], -1)), c)
            hs.append(h)
            cs.append(c)
        return unskewed(torch.stack(hs, 2)), unskewed(torch.stack(cs, 2))


def cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next h and c of an LSTM: arXiv:1601.06759, Eq. 3."""
    o, f, i, g = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def skewed(x: Tensor) -> Tensor:
    """Move row r by r places: (B, H, W, D) -> (B, H, W + H - 1, D), zeros around."""
    b, height, width, features = x.shape
    flat = F.pad(x, (0, 0, 0, height)).flatten(1, 2)[:, :-height]
    return flat.view(b, height, width + height - 1, features)


def unskewed(x: Tensor) -> Tensor:
    """The inverse: (B, H, W + H - 1, D) -> (B, H, W, D)."""
    b, height, diagonals, features = x.shape
    flat = F.pad(x.flatten(1, 2), (0, 0, 0, height))
    return flat.view(b, height, diagonals + 1, features)[:, :, : diagonals + 1 - height]


def _bias(width: int) -> nn.Parameter:
    """One for the forget gate, so that states last at the start."""
    return nn.Parameter(F.pad(torch.ones(width), (width, 2 * width)))


def _zero(width: int) -> nn.Linear:
    out = nn.Linear(width, width, bias=False)
    nn.init.zeros_(out.weight)
    return out


def _layer(block: nn.Module) -> RowLstm | DiagonalLstm:
    assert isinstance(block, RowLstm | DiagonalLstm)
    return block
