"""A causal transformer whose positions enter by learned embeddings of their distances.

Huang et al., Music Transformer, 2018 (arXiv:1809.04281): to each score q k of a query and a key is
added q E, with a row of E for their distance, of each head and layer (Shaw et al., 2018,
arXiv:1803.02155, Eq. 5, has the same row for all heads). All products q E are taken first and then
shifted into place, so that memory is of the order L^2 and not L^2 D (section 3.4.1, "skewing").
Distances beyond a reach share a row, as in Shaw et al., section 3.2. As in the decoder (see
`transformer`) norms stand before each part, queries and keys are normed, the first input is mixed
into each layer, and outputs start at zero. No place has a number of its own, so that a phrase is
read in the same way wherever it stands; the article adds sinusoids of places to the input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space, Tokens
from genloom.nets.attention import SHARPNESS, Attend, Shifted, apart, begins, by_places, sliding
from genloom.nets.embed import ConditionVector, vectors_alone
from genloom.nets.one_by_one import Cache, OneByOne
from genloom.nets.pointwise import rms_norm
from genloom.nets.stack import check_heads
from genloom.nets.transformer_block import Block
from genloom.nets.transformer_cache import CHUNK


@final
class Relative(OneByOne):
    """net(tokens, cond) -> logits: position i sees tokens 0 to i, and how far back each lies.

    Args:
        space: Of a datum; its vocabulary and one start token are read, in raster order. Where it
            has an end, a document sees nothing of those before it in its row.
        conditions: Those that enter as a vector are added to every position.
        width: Features of a position.
        layers: Of the net.
        heads: Of attention; width / heads must be even.
        expand: Hidden features of the feed-forward net, in widths.
        reach: The furthest distance with an embedding of its own; further ones share its row.
        dropout: Share of each branch's output that is dropped in training.

    Raises:
        BadInput: A condition enters as no vector, or heads do not divide the width.
    """

    still: Tensor

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=2)] = 96,
        layers: Annotated[int, Interval(ge=1)] = 4,
        heads: Annotated[int, Interval(ge=1)] = 2,
        expand: Annotated[int, Interval(ge=1)] = 4,
        reach: Annotated[int, Interval(ge=1)] = 128,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
    ):
        super().__init__()
        check_heads(width, heads)
        vectors_alone("music_transformer", conditions)
        self.length, self.start = math.prod(space.shape), space.vocab
        self.closes, features = space.end is not None, width // heads
        self.scale = SHARPNESS / math.sqrt(features)
        self.embed = nn.Embedding(space.vocab + 1, width)
        self.cond = ConditionVector(conditions, width, scale=0.05)
        rows = min(reach, self.length - 1) + 1  # of the distances 0, 1, ... reach
        self.distances = nn.Parameter(torch.randn(layers, heads, rows, features))  # as keys are
        self.mix = nn.Parameter(torch.full((layers - 1,), 0.1))
        self.blocks = nn.ModuleList(
            Block(width, heads, expand, dropout, heads, gated=False) for _ in range(layers)
        )
        self.head = nn.Linear(width, space.vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.head.weight, std=0.001)
        still = torch.ones(1, 1, 1, features // 2, dtype=torch.complex64)
        self.register_buffer("still", torch.view_as_real(still), persistent=False)

    def forward(self, tokens: Tensor, cond: Condition) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Name -> (B, ...).
        """
        length = tokens.shape[1]
        seen = sliding(length, 0, length, tokens.device)
        if self.closes:
            seen = seen & apart(begins(tokens, self.start), 0)
        x = self._embedded(tokens, cond)
        return self._logits(self._through(x, self._within(seen)))

    def _room(self) -> tuple[int, int, int, int]:
        layers, heads, _, features = self.distances.shape
        return layers, heads, self.length + -self.length % CHUNK, features

    def _open(self, cache: Cache, row: int, x: Tensor) -> None:
        known = x.shape[1]
        within = self._within(sliding(known, 0, known, x.device))

        def attend(i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            for part, new in ((cache.keys, k), (cache.values, v)):
                part[i, row, :, :known] = new[0].transpose(0, 1)
            return within(i, q, k, v)

        if known:
            self._through(x, attend)

    def _next(self, cache: Cache, x: Tensor, at: Tensor) -> Tensor:
        n, places = len(x), int(at.max()) + 1
        rows = torch.arange(n, device=x.device)
        places += -places % CHUNK
        back = (at[:, None] - torch.arange(places, device=x.device))[:, None, None]

        def attend(i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            for part, new in ((cache.keys, k), (cache.values, v)):
                part[i, rows, :, at] = new[0]
            by_place = self._by_distance(i, q).transpose(0, 2)  # (n, heads, 1, rows of E)
            far = back.clamp(0, by_place.shape[-1] - 1).expand(-1, by_place.shape[1], -1, -1)
            by_place = by_place.gather(3, far).masked_fill(back < 0, -torch.inf)
            keys, values = (part[i, :n, :, :places] for part in (cache.keys, cache.values))
            made = by_places(q.permute(1, 2, 0, 3), keys, values, by_place, self.scale)
            return made.transpose(0, 1)

        return self._through(x[None], attend)[0]

    def _through(self, x: Tensor, attend: Attend) -> Tensor:
        """The blocks: (B, L, D) -> the same."""
        x = first = rms_norm(x)
        still = torch.view_as_complex(self.still)  # queries and keys are not turned
        for i, block in enumerate(self.blocks):
            if i:
                x = torch.addcmul(x, first, self.mix[i - 1])
            x = block(x, still, partial(attend, i))
        return x

    def _within(self, seen: Tensor) -> Attend:
        """Attention within whole rows; seen: columns that rows see, (L, L) or (B, 1, L, L)."""

        def attend(i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            by_place = placed(self._by_distance(i, q), ~seen)
            q, k, v = (part.transpose(1, 2) for part in (q, k, v))
            return by_places(q, k, v, by_place, self.scale)

        return attend

    def _by_distance(self, i: int, q: Tensor) -> Tensor:
        """Scaled products q E of a layer: (B, L, heads, features) -> (B, heads, L, rows of E)."""
        return q.transpose(1, 2) @ (self.scale * self.distances[i]).mT


def placed(scores: Tensor, hidden: Tensor) -> Tensor:
    """From distances to places; the last distance stands for all further ones.

    Args:
        scores: (..., L, R), of the distances 0 to R - 1.
        hidden: What is not seen, at least all that comes later: broadcastable to (..., L, L).

    Returns:
        (..., L, L): row i, column j is the score of the distance i - j; -inf where it is hidden.
    """
    length, known = scores.shape[-2:]
    near = scores[..., :length].flip(-1)
    further = scores[..., -1:].expand(*scores.shape[:-1], max(length - known, 0))
    return Shifted.apply(torch.cat([further, near], -1), hidden)
