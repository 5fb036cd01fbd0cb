"""A causal transformer for short budgets, and its cache.

The plain decoder of Vaswani et al., 2017 (arXiv:1706.03762) with what has since proved itself at
small scale: rotary positions (Su et al., 2021, arXiv:2104.09864), norms without weights, normed
queries and keys (Henry et al., 2020, arXiv:2010.04245), squared ReLU (So et al., 2021,
arXiv:2109.08668), output projections that start at zero, no biases, capped logits (Gemma Team,
2024, arXiv:2408.00118, section 2), and the embedding mixed into every layer (Jordan et al.,
modded-nanogpt, 2024). Matrices lie in `blocks`, so that Muon finds them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space, Tokens
from genloom.errors import BadInput
from genloom.nets.embed import ConditionVector, Dropout
from genloom.nets.pointwise import feed_forward, rms_norm, rotate

SHARPNESS = 1.44  # of attention: queries and keys have unit RMS times 1.2 each
CAP = 15.0  # logits lie in (-CAP, CAP)


@dataclass
class Cache:
    """Keys and values of what a net has read: (layers, B, heads, L, features); tokens (B, L)."""

    keys: Tensor
    values: Tensor
    tokens: Tensor
    length: int = 0


@final
class Transformer(nn.Module):
    """net(tokens, cond) -> logits: position i sees tokens 0 to i alone.

    Args:
        space: Of a datum; its vocabulary and one start token are read, its length is the limit.
            A space with two axes, (H, W), is read row by row, with the neighbours that are known
            (left, above) at hand.
        conditions: Those that enter as a vector are added to every position.
        width: Features of a position.
        layers: Blocks.
        heads: Of attention; width / heads must be even.
        expand: Hidden features of the feed-forward net, in widths.
        dropout: Share of each branch's output that is dropped in training.
    """

    turns: Tensor

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
    ):
        super().__init__()
        if width % (2 * heads):
            raise BadInput(
                f"width = {width} with heads = {heads} leaves {width / heads:g} features a head: "
                f"an even number is needed. Choose a multiple of {2 * heads}."
            )
        self.length, self.start, self.heads = math.prod(space.shape), space.vocab, heads
        self.shifts = _shifts(space)
        self.embed = nn.Embedding(len(self.shifts) * (space.vocab + 1), width)
        self.places = nn.Parameter(torch.zeros(self.length, width))
        self.cond = ConditionVector(conditions, width, scale=0.05)
        self.mix = nn.Parameter(torch.full((layers - 1,), 0.1))
        self.blocks = nn.ModuleList(Block(width, heads, expand, dropout) for _ in range(layers))
        self.head = nn.Linear(width, space.vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.head.weight, std=0.001)
        self.register_buffer("turns", _turns(self.length, width // heads), persistent=False)

    def cache(self, n: int) -> Cache:
        """Room for n rows of full length, on the device of the weights."""
        weight = self.head.weight
        shape = len(self.blocks), n, self.heads, self.length, weight.shape[1] // self.heads
        return Cache(
            weight.new_empty(shape),
            weight.new_empty(shape),
            torch.full((n, self.length), self.start, device=weight.device),
        )

    def forward(self, tokens: Tensor, cond: Condition, cache: Cache | None = None) -> Tensor:
        """(B, L) -> (B, L, V). With a cache, tokens go on from what it holds, and are added to it.

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Name -> (B, ...).
            cache: Of `cache(B)`.
        """
        past = cache.length if cache else 0
        seen = past + tokens.shape[1]
        if cache:
            cache.tokens[:, past:seen] = tokens
            cache.length = seen
        x = self._embed(cache.tokens[:, :seen] if cache else tokens, past)
        x = x + self.places[past:seen]
        if self.cond.parts:
            x = x + self.cond(cond, len(x))[:, None]
        x = first = rms_norm(x)
        turns = torch.view_as_complex(self.turns[past:seen])[:, None, None]
        for i, block in enumerate(self.blocks):
            if i:
                x = torch.addcmul(x, first, self.mix[i - 1])
            x = block(x, turns, (cache.keys[i], cache.values[i]) if cache else None, past)
        return CAP * (self.head(rms_norm(x)) / CAP).tanh()

    def _embed(self, tokens: Tensor, past: int) -> Tensor:
        """The sum of the embeddings of each position's token and of its neighbours before it."""
        n, length = tokens.shape
        index = [tokens[:, past:]]
        for j, shift in enumerate(self.shifts[1:], 1):
            padded = F.pad(tokens, (shift, 0), value=self.start)
            index.append(padded[:, past:length] + j * (self.start + 1))
        if len(index) == 1:
            return self.embed(index[0])
        flat = torch.stack(index, -1).flatten(0, 1)
        return F.embedding_bag(flat, self.embed.weight, mode="sum").view(n, length - past, -1)


@final
class Block(nn.Module):
    """Attention, then a feed-forward net, each on the normed input and added to it."""

    def __init__(self, width: int, heads: int, expand: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Parameter(torch.empty(3, width, width))  # a stack of three matrices
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, expand * width, bias=False)
        self.down = nn.Linear(expand * width, width, bias=False)
        self.dropout = Dropout(dropout)
        bound = math.sqrt(3 / width)  # uniform with deviation 1 / sqrt(width)
        nn.init.uniform_(self.qkv, -bound, bound)
        nn.init.uniform_(self.up.weight, -bound, bound)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(
        self, x: Tensor, turns: Tensor, cache: tuple[Tensor, Tensor] | None, past: int
    ) -> Tensor:
        """(B, L, D) -> the same; cache: this layer's keys and values, filled up to `past`."""
        qkv = F.linear(rms_norm(x), self.qkv.flatten(0, 1)).unflatten(-1, (3, self.heads, -1))
        q, k, v = (y.transpose(1, 2) for y in rotate(qkv, turns))  # (B, heads, L, features)
        new = q.shape[2]
        if cache:
            keys, values = cache
            keys[:, :, past : past + new], values[:, :, past : past + new] = k, v
            k, v = keys[:, :, : past + new], values[:, :, : past + new]
        mask = None
        if past and new > 1:
            mask = torch.ones(new, past + new, dtype=torch.bool, device=x.device).tril(past)
        y = F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=new > 1 and not past, scale=SHARPNESS / math.sqrt(q.shape[-1])
        )
        x = x + self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        return x + self.dropout(feed_forward(rms_norm(x), self.up.weight, self.down.weight))


def _turns(length: int, features: int) -> Tensor:
    """Cosine and sine of position * 10000^(-pair / pairs): (length, features / 2, 2)."""
    pairs = features // 2
    rate = 1e4 ** -(torch.arange(pairs, dtype=torch.float64) / pairs)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    return torch.stack([angle.cos(), angle.sin()], -1).float()


def _shifts(space: Tokens) -> tuple[int, ...]:
    """How far before a position lie the further tokens whose embeddings it is given.

    The token at position i is datum i - 1. In a grid, datum i - W lies above datum i.
    """
    if len(space.shape) == 2 and space.shape[1] > 2:
        columns = space.shape[1]
        return 0, columns - 2, columns - 1, columns  # left, above right, above, above left
    return (0,)
