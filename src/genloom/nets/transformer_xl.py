"""Transformer-XL: a row is read in segments, and each sees the end of what was read before it.

Dai et al., Transformer-XL, 2019 (arXiv:1901.02860). A segment attends to itself and to a memory:
what the last positions before it were, at the input of the same layer, without a gradient (section
3.2). Positions enter by their distances alone: the four terms of section 3.3, with the sinusoids R
and the biases u and v. The memory is carried inside one datum, from segment to segment of a row,
and never from one datum to the next: for long contexts, let `data.length` be many segments. As in
the decoder (see `transformer`) norms stand before each part, queries and keys are normed, the first
input is mixed into each layer, and outputs start at zero; the paper has norms after each part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space, Tokens
from genloom.nets.apart import apart
from genloom.nets.attention import SHARPNESS, Shifted, by_places
from genloom.nets.embed import ConditionVector, Dropout, vectors_alone
from genloom.nets.one_by_one import Cache, OneByOne
from genloom.nets.pointwise import feed_forward, rms_norm
from genloom.nets.stack import check_heads

TABLE = 2**20  # scores of a layer that are computed at once
Hold = Callable[[int, Tensor, Tensor], None]
"""(layer, keys and values of a row, each (B, heads, L, features))."""


@final
class Layer(nn.Module):
    """Attention by content and by distance, then a feed-forward net; both start at zero."""

    def __init__(self, width: int, heads: int, expand: int, dropout: float):
        super().__init__()
        self.heads, self.scale = heads, SHARPNESS / math.sqrt(width // heads)
        self.maps = nn.Parameter(torch.empty(4, width, width))  # of q, k, v and R
        self.biases = nn.Parameter(torch.zeros(2, heads, 1, width // heads))  # u and v
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, expand * width, bias=False)
        self.down = nn.Linear(expand * width, width, bias=False)
        self.dropout = Dropout(dropout)
        bound = math.sqrt(3 / width)  # uniform with deviation 1 / sqrt(width)
        for weight in (self.maps, self.up.weight):
            nn.init.uniform_(weight, -bound, bound)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def split(self, x: Tensor, first: int, count: int) -> list[Tensor]:
        """Some of the four maps of (B, T, D), by heads: (B, heads, T, features) each."""
        y = F.linear(x, self.maps[first : first + count].flatten(0, 1))
        return list(y.unflatten(-1, (count, self.heads, -1)).permute(2, 0, 3, 1, 4))

    def read(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of (B, T, D)."""
        q, k, v = self.split(rms_norm(x), 0, 3)
        return rms_norm(q), rms_norm(k), v

    def recall(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of (B, T, D) as a later segment sees them: without a gradient of x."""
        k, v = self.split(rms_norm(x.detach()), 1, 2)
        return rms_norm(k), v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, by_place: Tensor) -> Tensor:
        """What is found by content, (q + u) k, and by place, -inf where nothing is seen."""
        return by_places(q + self.biases[0], k, v, by_place, self.scale).flatten(2)

    def distances(self, q: Tensor, waves: Tensor) -> Tensor:
        """(q + v) W R for each distance: (B, heads, T, features), (S, D) -> (B, heads, T, S)."""
        (r,) = self.split(waves[None], 3, 1)
        return (q + self.biases[1]) @ (r * self.scale).mT

    def finish(
        self, x: Tensor, found: Tensor, parts: tuple[Tensor, int, int] | None = None
    ) -> Tensor:
        """Both branches, added to their input; `parts` as in `Dropout`."""
        x = x + self.dropout(self.out(found), parts)
        branch = feed_forward(rms_norm(x), self.up.weight, self.down.weight)
        return x + self.dropout(branch, parts)


@final
class TransformerXl(OneByOne):
    """net(tokens, cond) -> logits: position i sees tokens 0 to i, as far as its memory goes.

    What a position sees itself has seen what lay before it, so that the farthest token that can
    matter is about layers * memory away.

    Args:
        space: Of a datum; its vocabulary and one start token are read, in raster order. Where it
            has an end, each document of a row is read from a fresh memory.
        conditions: Those that enter as a vector are added to every position.
        width: Features of a position.
        layers: Of the net.
        heads: Of attention; width / heads must be even.
        expand: Hidden features of the feed-forward net, in widths.
        dropout: Share of each branch's output that is dropped in training.
        segment: Positions that are read at once.
        memory: Positions before a segment that it sees besides itself; 0: none.

    Raises:
        BadInput: A condition enters as no vector, or heads do not divide the width.
    """

    waves: Tensor

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=2)] = 96,
        layers: Annotated[int, Interval(ge=1)] = 4,
        heads: Annotated[int, Interval(ge=1)] = 2,
        expand: Annotated[int, Interval(ge=1)] = 4,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
        segment: Annotated[int, Interval(ge=1)] = 64,
        memory: Annotated[int, Interval(ge=0)] = 64,
    ):
        super().__init__()
        check_heads(width, heads)
        vectors_alone("transformer_xl", conditions)
        self.start, self.closes = space.vocab, space.end is not None
        self.segment, self.memory = segment, memory
        self.embed = nn.Embedding(space.vocab + 1, width)
        self.cond = ConditionVector(conditions, width, scale=0.05)
        self.mix = nn.Parameter(torch.full((layers - 1,), 0.1))
        self.blocks = nn.ModuleList(Layer(width, heads, expand, dropout) for _ in range(layers))
        self.head = nn.Linear(width, space.vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.head.weight, std=0.001)
        self.register_buffer("waves", waves(memory + segment, width), persistent=False)

    def forward(self, tokens: Tensor, cond: Condition) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Name -> (B, ...).
        """
        if not self.closes:
            return self._whole(tokens, cond)

        def read(documents: Tensor, row: Tensor) -> Tensor:
            parts = row, len(tokens), tokens.shape[1]
            return self._whole(documents, {k: v[row] for k, v in cond.items()}, parts)

        return apart(read, tokens, self.start)

    def _room(self) -> tuple[int, int, int, int]:
        """A row is a ring of as many slots as a memory and a segment have."""
        layer = self._layers()[0]
        return len(self.blocks), layer.heads, len(self.waves), layer.biases.shape[-1]

    def _open(self, cache: Cache, row: int, x: Tensor) -> None:
        slots = torch.arange(x.shape[1], device=x.device)[-len(self.waves) :]

        def hold(layer: int, k: Tensor, v: Tensor) -> None:
            for part, new in ((cache.keys, k), (cache.values, v)):
                part[layer, row, :, slots % len(self.waves)] = new[0][:, slots]

        self._segments(x, hold)

    def _next(self, cache: Cache, x: Tensor, at: Tensor) -> Tensor:
        n, room = len(x), len(self.waves)
        rows = torch.arange(n, device=x.device)
        back = (at[:, None] - torch.arange(room, device=x.device)) % room
        inside = at % self.segment
        seen = back <= (inside + (at - inside).clamp(max=self.memory))[:, None]
        x = first = rms_norm(x)
        for i, layer in enumerate(self._layers()):
            x = torch.addcmul(x, first, self.mix[i - 1]) if i else x
            q, k, v = (part.transpose(0, 2) for part in layer.read(x[None]))
            for part, new in ((cache.keys, k), (cache.values, v)):
                part[i, rows, :, at % room] = new[:, :, 0]
            by_place = layer.distances(q.transpose(0, 2), self.waves).transpose(0, 2)
            by_place = by_place.gather(3, back[:, None, None].expand_as(by_place))
            by_place = by_place.masked_fill(~seen[:, None, None], -torch.inf)
            found = layer.attend(q, cache.keys[i, :n], cache.values[i, :n], by_place)
            x = layer.finish(x, found[:, 0])
        return x

    def _whole(
        self, tokens: Tensor, cond: Condition, parts: tuple[Tensor, int, int] | None = None
    ) -> Tensor:
        """The logits of rows of one document each; `parts` as in `_segments`."""
        return self._logits(self._segments(self._embedded(tokens, cond), parts=parts))

    def _segments(
        self,
        x: Tensor,
        hold: Hold | None = None,
        parts: tuple[Tensor, int, int] | None = None,
    ) -> Tensor:
        """All layers: (B, L, D) -> the same.

        What a segment remembers is the input of the same layer, so that a layer reads all segments
        at once.

        Args:
            x: Embedded tokens.
            hold: Takes the keys and values of each layer.
            parts: Of documents, as in `Dropout`.
        """
        if not x.shape[1]:
            return x
        h = first = rms_norm(x)
        for i, layer in enumerate(self._layers()):
            h = torch.addcmul(h, first, self.mix[i - 1]) if i else h
            q, k, v = layer.read(h)
            if hold is not None:
                hold(i, k, v)
            h = layer.finish(h, self._attended(layer, h, (q, k, v)), parts)
        return h

    def _attended(self, layer: Layer, x: Tensor, qkv: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """What each place of x finds in its segment and in the memory before it: (B, L, D)."""
        q, *own = qkv
        length = q.shape[2]
        size = min(self.segment, length)
        many = -(-length // size)
        memory = min(self.memory, (many - 1) * size)
        after = many * size - length
        earlier = layer.recall(x) if memory and torch.is_grad_enabled() else own

        def cut(y: Tensor) -> Tensor:
            """(B, heads, L, f) -> (B, many, heads, size, f)."""
            return F.pad(y, (0, 0, 0, after)).unflatten(2, (many, size)).transpose(1, 2)

        def before(y: Tensor) -> Tensor:
            """The memory of each segment: (B, heads, L, f) -> (B, many, heads, memory, f)."""
            windows = F.pad(y, (0, 0, memory, after)).unfold(2, max(memory, 1), size)
            return windows[:, :, :many, :, :memory].permute(0, 2, 1, 4, 3)

        waves = self.waves[: memory + size].flip(0)
        place = torch.arange(memory + size, device=q.device) - memory  # from the segment's first
        first = torch.arange(many, device=q.device)[:, None, None] * size
        hidden = (place > place[memory:, None]) | (first + place < 0)
        parts = [cut(q), *(part for y, old in zip(own, earlier) for part in (before(old), cut(y)))]
        at_once = max(TABLE // (q.shape[0] * q.shape[1] * hidden[0].numel()), 1)
        made = []
        for hide, *group in zip(hidden.split(at_once), *(part.split(at_once, 1) for part in parts)):
            asking, *read = (part.flatten(0, 1) for part in group)
            k, v = torch.cat(read[:2], 2), torch.cat(read[2:], 2)
            unseen = hide.repeat(len(q), 1, 1)[:, None]
            by_place = Shifted.apply(layer.distances(asking, waves), unseen)
            made.append(layer.attend(asking, k, v, by_place).unflatten(0, (len(q), -1)))
        return torch.cat(made, 1).flatten(1, 2)[:, :length]

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.blocks if isinstance(layer, Layer)]


def waves(count: int, width: int) -> Tensor:
    """Sinusoids of distances, (count, width): Vaswani et al., 2017 (arXiv:1706.03762), 3.5."""
    rate = 1e4 ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(count, dtype=torch.float64)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], 1).float()
