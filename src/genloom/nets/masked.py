"""Causal nets over a grid that is read row by row, and how they sample one token at a time.

A net here has three forms of one function. `whole` computes every place of a grid at once, for
training. To sample, `open_row` computes what a row takes from the rows above it, as soon as they
are known, and `advance` computes one place from there; so a token costs a few matrix products,
instead of the whole grid. Masks are windows that do not reach what is not known: van den Oord et
al., 2016 (arXiv:1601.06759), section 3.4; with two stacks of them there is no blind spot (van den
Oord et al., 2016, arXiv:1606.05328, section 2.3).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Space, Tokens
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.nets.embed import ConditionVector
from genloom.nets.packed import BLOCK

Maps = dict[str, Tensor]
"""Name -> (B, H, W, D): what later places read of earlier ones."""


class Reach(NamedTuple):
    """The places that place (r, c) sees: rows r - top to r - bottom, columns c - left to c + right.

    A negative `right` leaves out the place itself and its nearest ones.
    """

    top: int
    bottom: int
    left: int
    right: int


class Spots(NamedTuple):
    """Places in rows of a cache; the three broadcast against each other."""

    rows: Tensor
    r: Tensor
    c: Tensor


@dataclass
class Cache:
    """What a net has read and computed, row by row of a batch; see `Raster.follow`.

    Args:
        maps: Name -> (rows, edge + H, edge + columns + edge, D); edges are zero.
        edge: Width of the margin above, left and right.
        cond: What the conditions say, (rows, D).
        lengths: How many tokens each row holds, with the start token: (rows,).
    """

    maps: Maps
    edge: int
    cond: Tensor
    lengths: Tensor

    def move(self, source: int, target: int) -> None:
        """Make one row what another one is."""
        for part in (*self.maps.values(), self.cond, self.lengths):
            part[target] = part[source]

    def index(self, name: str, at: Spots) -> Tensor:
        """Where places lie in a map whose first three axes are flattened."""
        _, rows, columns, _ = self.maps[name].shape
        return (at.rows * rows + at.r + self.edge) * columns + at.c + self.edge

    def get(self, name: str, at: Spots) -> Tensor:
        """Features of places, (*at, D)."""
        return F.embedding(self.index(name, at), self.maps[name].flatten(0, 2))

    def put(self, name: str, at: Spots, x: Tensor) -> None:
        """Store features of places."""
        flat = self.maps[name].view(-1, x.shape[-1])
        flat.index_copy_(0, self.index(name, at).flatten(), x.flatten(0, -2))


@final
class Window(nn.Module):
    """A convolution without bias that sees a window of places; one matrix, (out, places * in).

    Args:
        inside: Features read.
        outside: Features made.
        reach: Of the window.
    """

    dy: Tensor
    dx: Tensor

    def __init__(self, inside: int, outside: int, reach: Reach):
        super().__init__()
        self.reach, self.inside = reach, inside
        dy = torch.arange(-reach.top, 1 - reach.bottom)
        dx = torch.arange(-reach.left, 1 + reach.right)
        self.size = len(dy), len(dx)
        self.weight = nn.Parameter(torch.empty(outside, len(dy) * len(dx) * inside))
        bound = math.sqrt(3 / self.weight.shape[1])  # uniform, output deviation 1 for unit input
        nn.init.uniform_(self.weight, -bound, bound)
        self.register_buffer("dy", dy.repeat_interleave(len(dx)), persistent=False)
        self.register_buffer("dx", dx.repeat(len(dy)), persistent=False)

    def forward(self, x: Tensor, *, stride: int = 1) -> Tensor:
        """(B, H, W, in) -> (B, H, W, out), zeros beyond the edges; or only each second place."""
        top, bottom, left, right = self.reach
        x = F.pad(x, (0, 0, left, right, top, -bottom)).movedim(-1, 1)
        kernel = self.weight.view(-1, *self.size, self.inside).movedim(-1, 1)
        return F.conv2d(x, kernel, stride=stride).movedim(1, -1)

    def read(self, cache: Cache, name: str, at: Spots) -> Tensor:
        """The same at some places of a cached map: (*at, out)."""
        far = Spots(at.rows[..., None], at.r[..., None] + self.dy, at.c[..., None] + self.dx)
        return F.linear(cache.get(name, far).flatten(-2), self.weight)


class Raster(nn.Module, ABC):
    """net(tokens, cond) -> logits over a grid of tokens, row by row; see `decoding.rows.Caching`.

    Args:
        space: (H, W) tokens.
        conditions: Those that enter as a vector are seen by every place.
        width: Features of a place and of the condition.
        embed: Features of a token.
        edge: The farthest that a window sees.
    """

    def __init__(
        self, space: Tokens, conditions: Mapping[str, Space], width: int, embed: int, edge: int
    ):
        super().__init__()
        if len(space.shape) != 2:
            raise BadInput(
                f"{type(self).__name__} reads a grid (H, W) of tokens, not {space.shape}. Use the "
                "codec 'pixels', or net = 'transformer' for sequences."
            )
        (self.height, self.columns), self.edge, self.start = space.shape, edge, space.vocab
        self.embed = nn.Embedding(space.vocab, embed)
        self.cond = ConditionVector(conditions, width)
        self.head = nn.Linear(width, space.vocab)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Features of each map that `whole` fills; "embed" is there by itself."""

    @abstractmethod
    def whole(self, maps: Maps, cond: Tensor) -> Tensor:
        """All places: maps["embed"] and (B, D) -> what the head reads, (B, H, W, D).

        It fills the other maps.
        """

    @abstractmethod
    def open_row(self, cache: Cache, at: Spots) -> None:
        """Compute what a row takes from those above; at: (m, columns), c from 0 in whole blocks.

        Only the first W columns are places of the grid; `kept` gives them.
        """

    @abstractmethod
    def advance(self, cache: Cache, at: Spots) -> Tensor:
        """What the head reads at one place in each row, all before it being known: (n, D)."""

    def forward(self, tokens: Tensor, cond: Condition) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Name -> (B, ...).
        """
        length = tokens.shape[1]
        out = self.whole({"embed": self._embedded(tokens)}, self.cond(cond, len(tokens)))
        return self.head(out.flatten(1, 2)[:, :length])

    def cache(self, n: int) -> Cache:
        """Room for n rows, on the device of the weights."""
        weight, edge = self.embed.weight, self.edge
        shape = n, edge + self.height, edge + self._blocks() + edge
        sizes = {"embed": self.embed.embedding_dim, **self.sizes()}
        maps = {name: weight.new_zeros(*shape, size) for name, size in sizes.items()}
        lengths = torch.zeros(n, dtype=torch.long, device=weight.device)
        return Cache(maps, edge, weight.new_zeros(n, self.cond.width), lengths)

    @torch.no_grad()
    def begin(self, cache: Cache, fresh: Sequence[Fresh]) -> None:
        """Let rows of a cache begin anew; each is computed alone, so that its company is nothing.

        What lies behind the tokens that are given is overwritten before it is read.
        """
        top, columns = slice(self.edge, None), slice(self.edge, self.edge + self.columns)
        for one in fresh:
            known = one.tokens.shape[1]
            cache.cond[one.rows] = self.cond(one.cond, len(one.tokens))
            cache.lengths[one.rows] = known
            for row, tokens in enumerate(one.tokens.split(1) if known else (), one.first):
                maps = {"embed": self._embedded(tokens)}
                self.whole(maps, cache.cond[row : row + 1])
                for name, found in maps.items():
                    cache.maps[name][row, top, columns] = found[0]

    @torch.no_grad()
    def follow(self, cache: Cache, tokens: Tensor, fresh: Sequence[Fresh] = ()) -> Tensor:
        """See `Caching`: rows that begin do so after the others have read."""
        rows, place = torch.arange(len(tokens), device=tokens.device), cache.lengths[: len(tokens)]
        place = place.clone()
        last = (place - 1).clamp(min=0)  # the start token leaves no trace: place 0 is yet to come
        before = Spots(rows, last // self.columns, last % self.columns)
        cache.put("embed", before, self.embed(tokens.clamp(max=self.start - 1)))
        at = Spots(rows, place // self.columns, place % self.columns)
        opening = (at.c == 0).nonzero()[:, 0]
        if len(opening):
            columns = torch.arange(self._blocks(), device=tokens.device)
            self.open_row(cache, Spots(rows[opening, None], at.r[opening, None], columns))
        logits = self.head(self.advance(cache, at))
        cache.lengths[: len(tokens)] += 1
        self.begin(cache, fresh)
        return logits

    def kept(self, at: Spots) -> Spots:
        """Those places of whole rows that lie in the grid."""
        return Spots(at.rows, at.r, at.c[: self.columns])

    def places_of(self, stacks: int) -> nn.Parameter:
        """A vector for every place, (stacks, H * W, D): at the start the same one everywhere.

        Not zero: the first places see nothing else, and a norm of nothing has no bounded slope.
        """
        same = torch.randn(stacks, 1, self.head.in_features)
        return nn.Parameter(same.repeat(1, self.height * self.columns, 1))

    def _embedded(self, tokens: Tensor) -> Tensor:
        """(B, P) with the start token -> (B, H, W, D); what is not known is never seen."""
        grid = F.pad(tokens[:, 1:], (0, self.height * self.columns + 1 - tokens.shape[1]))
        return self.embed(grid).unflatten(1, (self.height, self.columns))

    def _blocks(self) -> int:
        return self.columns + -self.columns % BLOCK
