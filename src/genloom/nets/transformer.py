"""A causal transformer for short budgets, and its cache, whose rows may be of any length each.

The plain decoder of Vaswani et al., 2017 (arXiv:1706.03762) with what has since proved itself at
small scale: rotary positions (Su et al., 2021, arXiv:2104.09864), norms without weights, normed
queries and keys (Henry et al., 2020, arXiv:2010.04245), squared ReLU (So et al., 2021,
arXiv:2109.08668), output projections that start at zero, no biases, capped logits (Gemma Team,
2024, arXiv:2408.00118, section 2), and the embedding mixed into every layer (Jordan et al.,
modded-nanogpt, 2024). Matrices lie in `blocks`, so that Muon finds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space, Tokens
from genloom.decoding import Fresh
from genloom.errors import BadInput
from genloom.nets.embed import ConditionSequence, ConditionVector, Dropout
from genloom.nets.pointwise import feed_forward, rms_norm, rotate

SHARPNESS = 1.44  # of attention: queries and keys have unit RMS times 1.2 each
CAP = 15.0  # logits lie in (-CAP, CAP)
BLOCK = 4  # rows that the kernels of a CPU sum in one and the same way, wherever they lie
WINDOW = 16  # positions that are attended to are rounded up to a multiple of this many

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass
class Cache:
    """What a net has read, row by row; see `Transformer.begin` and `Transformer.follow`.

    Args:
        keys: (layers, rows, heads, room, features).
        values: The same.
        tokens: (rows, before + room), after as many start tokens as a grid's neighbours need.
        cond: What the conditions add to each position, (rows, D).
        lengths: How many tokens each row holds, (rows,).
        ahead: Positions of the conditions that are read before the tokens.
    """

    keys: Tensor
    values: Tensor
    tokens: Tensor
    cond: Tensor
    lengths: Tensor
    ahead: int

    def move(self, source: int, target: int) -> None:
        """Make one row what another one is."""
        held = slice(self.ahead + int(self.lengths[source]))
        for part in (self.keys, self.values):
            part[:, target, :, held] = part[:, source, :, held]
        for part in (self.tokens, self.cond, self.lengths):
            part[target] = part[source]


@final
class Transformer(nn.Module):
    """net(tokens, cond) -> logits: position i sees tokens 0 to i alone.

    Args:
        space: Of a datum; its vocabulary and one start token are read, its length is the limit.
            A space with two axes, (H, W), is read row by row, with the neighbours that are known
            (left, above) at hand.
        conditions: Those that enter as a vector are added to every position; those that enter as a
            sequence are read before the tokens, as DALL-E reads a caption (Ramesh et al., 2021,
            arXiv:2102.12092, section 2).
        width: Features of a position.
        layers: Blocks.
        heads: Of attention; width / heads must be even.
        expand: Hidden features of the feed-forward net, in widths.
        dropout: Share of each branch's output that is dropped in training.
        text_layers: Of a text encoder over the sequences that are read first (see `text`).
    """

    turns: Tensor
    back: Tensor

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
        text_layers: Annotated[int, Interval(ge=0, le=12)] = 0,
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
        self.context = ConditionSequence(conditions, width, layers=text_layers)
        self.ahead = sum(self.context.lengths.values())
        self.mix = nn.Parameter(torch.full((layers - 1,), 0.1))
        self.blocks = nn.ModuleList(Block(width, heads, expand, dropout) for _ in range(layers))
        self.head = nn.Linear(width, space.vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.head.weight, std=0.001)
        self.register_buffer(
            "turns", _turns(self.ahead + self.length, width // heads), persistent=False
        )
        self.register_buffer("back", torch.tensor(self.shifts), persistent=False)

    def cache(self, n: int) -> Cache:
        """Room for n rows of full length, on the device of the weights."""
        weight = self.head.weight
        room = -(-(self.ahead + self.length) // WINDOW) * WINDOW
        shape = len(self.blocks), n, self.heads, room, weight.shape[1] // self.heads
        tokens = torch.full((n, self.shifts[-1] + room), self.start, device=weight.device)
        lengths = torch.zeros(n, dtype=torch.long, device=weight.device)
        empty, cond = weight.new_empty, weight.new_empty(n, weight.shape[1])
        return Cache(empty(shape), empty(shape), tokens, cond, lengths, self.ahead)

    def forward(self, tokens: Tensor, cond: Condition) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Name -> (B, ...).
        """
        x = self._embed(tokens) + self.places[: tokens.shape[1]]
        if self.cond.parts:
            x = x + self.cond(cond, len(x))[:, None]
        x = self._after(cond, x)
        return self._logits(self._through(x, slice(x.shape[1]), _causal)[:, self.ahead :])

    @torch.no_grad()
    def begin(self, cache: Cache, fresh: Sequence[Fresh]) -> None:
        """Let rows of a cache begin anew."""
        for one in fresh:
            x, places = self._opened(cache, one)
            if len(places):
                self._through(x, places, partial(self._beginning, cache, one))
            cache.lengths[one.rows] = one.tokens.shape[1]

    @torch.no_grad()
    def follow(self, cache: Cache, tokens: Tensor, fresh: Sequence[Fresh] = ()) -> Tensor:
        """Let the first n rows of a cache read one more token each, and rows after them begin anew.

        All attend to a window as long as the longest row, in whole blocks, and mask what they do
        not hold: a row's logits are the same, bit for bit, in any company of 4, 8, ... rows. What
        begins is computed with them, as weights are read once for both.

        Args:
            cache: Of `cache`.
            tokens: (n,).
            fresh: Rows that begin; where they lie among the n, what those read is lost.

        Returns:
            Logits of the token after it, (n, V).
        """
        n, (heads, room), before = len(tokens), cache.keys.shape[2:4], self.shifts[-1]
        rows, at = torch.arange(n, device=tokens.device), cache.lengths[:n].clone()
        places = at + self.ahead
        window = -(-(int(places.max()) + 1) // WINDOW) * WINDOW
        hidden = torch.arange(window, device=tokens.device) > places[:, None]
        mask = cache.cond.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)[:, None, None]
        lanes = torch.arange(n * heads, device=tokens.device).view(n, heads)
        target = (lanes * room + places[:, None]).flatten()

        flat = [part.flatten(1, 3).unbind() for part in (cache.keys, cache.values)]
        held = [part[:, :n, :, :window].unbind() for part in (cache.keys, cache.values)]

        def attend(i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            flat[0][i].index_copy_(0, target, k[0].flatten(0, 1))
            flat[1][i].index_copy_(0, target, v[0].flatten(0, 1))
            return _attention(q[0][:, :, None], held[0][i], held[1][i], mask)[None, :, :, 0]

        if before:
            cache.tokens[rows, before + at] = tokens
        x = self._embed_at(cache.tokens, tokens, at) + self.places[at]
        if self.cond.parts:
            x = x + cache.cond[:n]
        cache.lengths[:n] += 1
        x = (
            self._together(cache, x, places, attend, fresh)
            if fresh
            else self._through(x[None], places, attend)
        )
        return self._logits(x[0, :n])

    def _together(
        self, cache: Cache, x: Tensor, at: Tensor, attend: Attend, fresh: Sequence[Fresh]
    ) -> Tensor:
        """Rows that go on, (n, D) at places (n,), and rows that begin, in one pass."""
        opened = [(one, *self._opened(cache, one)) for one in fresh]
        opened = [(one, read, places) for one, read, places in opened if len(places)]
        parts = [x, *(read.flatten(0, 1) for _, read, _ in opened)]
        places = torch.cat([at, *(places.repeat(len(read)) for _, read, places in opened)])
        sizes = [len(part) for part in parts]

        def both(i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            first, *others = zip(*(part.split(sizes, 1) for part in (q, k, v)), strict=True)
            found = [attend(i, *first)]
            for (one, read, _), qkv in zip(opened, others, strict=True):
                rows = [part.unflatten(1, read.shape[:2])[0] for part in qkv]
                found.append(self._beginning(cache, one, i, *rows).flatten(0, 1)[None])
            return torch.cat(found, 1)

        x = self._through(torch.cat(parts)[None], places, both)
        for one in fresh:
            cache.lengths[one.rows] = one.tokens.shape[1]
        return x

    def _opened(self, cache: Cache, one: Fresh) -> tuple[Tensor, Tensor]:
        """What the blocks read of rows that begin, (k, L, D), and its places, (L,)."""
        (k, known), rows, tokens = one.tokens.shape, one.rows, one.tokens
        cache.cond[rows], cache.tokens[rows] = self.cond(one.cond, k), self.start
        for part in (cache.keys, cache.values):
            part[:, rows] = 0  # masked positions are multiplied by 0, which does not rid of a NaN
        before = self.shifts[-1]
        cache.tokens[rows, before : before + known] = tokens
        # Whole blocks of positions: what a row holds does not depend on how many begin with it.
        read = self.ahead + known
        places = torch.arange(read + -read % BLOCK, device=tokens.device)
        places = places.clamp_(max=self.ahead + self.length - 1)
        x = self._embed(F.pad(tokens, (0, len(places) - read)))
        x = x + self.places[places[self.ahead :] - self.ahead]
        x = x + cache.cond[rows, None] if self.cond.parts else x
        return self._after(one.cond, x), places

    def _after(self, cond: Condition, x: Tensor) -> Tensor:
        """What the blocks read: sequences that are conditions, then the tokens, (B, L, D)."""
        context = self.context(cond, len(x))
        return x if context is None else torch.cat([context.to(x.dtype), x], 1)

    def _beginning(
        self, cache: Cache, one: Fresh, i: int, q: Tensor, k: Tensor, v: Tensor
    ) -> Tensor:
        """Attention of block i in rows that begin; the cache holds what was read."""
        held = k.shape[1]
        cache.keys[i, one.rows, :, :held] = k.transpose(1, 2)
        cache.values[i, one.rows, :, :held] = v.transpose(1, 2)
        return _causal(i, q, k, v)

    def _through(self, x: Tensor, places: Tensor | slice, attend: Attend) -> Tensor:
        """The blocks: (B, L, D) at L places -> the same."""
        x = first = rms_norm(x)
        turns = torch.view_as_complex(self.turns[places])[:, None, None]
        for i, block in enumerate(self.blocks):
            if i:
                x = torch.addcmul(x, first, self.mix[i - 1])
            x = block(x, turns, partial(attend, i))
        return x

    def _logits(self, x: Tensor) -> Tensor:
        return CAP * (self.head(rms_norm(x)) / CAP).tanh()

    def _embed(self, tokens: Tensor) -> Tensor:
        """The sum of the embeddings of each position's token and of its neighbours before it."""
        index = [tokens]
        for j, shift in enumerate(self.shifts[1:], 1):
            padded = F.pad(tokens, (shift, 0), value=self.start)
            index.append(padded[:, : tokens.shape[1]] + j * (self.start + 1))
        return self._sum(torch.stack(index, -1)) if len(index) > 1 else self.embed(tokens)

    def _embed_at(self, held: Tensor, tokens: Tensor, at: Tensor) -> Tensor:
        """The same of one position in each row: (rows, before + room), (n,), (n,) -> (n, D)."""
        if len(self.shifts) == 1:
            return self.embed(tokens)
        places = at[:, None] + (self.shifts[-1] - self.back)
        kinds = torch.arange(len(self.shifts), device=at.device) * (self.start + 1)
        return self._sum(held[: len(at)].gather(1, places) + kinds)

    def _sum(self, index: Tensor) -> Tensor:
        bags = F.embedding_bag(index.flatten(0, -2), self.embed.weight, mode="sum")
        return bags.unflatten(0, index.shape[:-1])


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
        self, x: Tensor, turns: Tensor, attend: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> Tensor:
        """(B, L, D) -> the same; attend(q, k, v), each (B, L, heads, features) like its result."""
        qkv = F.linear(rms_norm(x), self.qkv.flatten(0, 1)).unflatten(-1, (3, self.heads, -1))
        y = attend(*rotate(qkv, turns))
        x = x + self.dropout(self.out(y.flatten(2)))
        return x + self.dropout(feed_forward(rms_norm(x), self.up.weight, self.down.weight))


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Without a mask a position sees itself and those before it; (B, heads, L, features)."""
    return F.scaled_dot_product_attention(
        q, k, v, mask, is_causal=mask is None, scale=SHARPNESS / math.sqrt(q.shape[-1])
    )


def _causal(_: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)


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
