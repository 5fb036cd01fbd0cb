"""A causal transformer for short budgets, that reads whole rows or one token at a time.

The plain decoder of Vaswani et al., 2017 (arXiv:1706.03762) with what has since proved itself at
small scale: rotary positions (Su et al., 2021, arXiv:2104.09864), norms without weights, normed
queries and keys (Henry et al., 2020, arXiv:2010.04245), squared ReLU (So et al., 2021,
arXiv:2109.08668), output projections that start at zero, no biases, capped logits (Gemma Team,
2024, arXiv:2408.00118, section 2), and the embedding mixed into every layer (Jordan et al.,
modded-nanogpt, 2024). Matrices lie in `blocks`, so that Muon finds them. What large decoders save
memory with is there too, off unless asked for: shared keys, a sliding window, a tied head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space, Tokens
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.nets.attention import Attend, apart, begins, causal, sliding, turns
from genloom.nets.embed import ConditionSequence, ConditionVector
from genloom.nets.packed import BLOCK
from genloom.nets.pointwise import rms_norm
from genloom.nets.transformer_block import Block
from genloom.nets.transformer_cache import CHUNK, Cache

CAP = 15.0  # logits lie in (-CAP, CAP)
OWN = 3.0  # logit at the start, where the head is tied, that a token comes once more


@final
class Transformer(nn.Module):
    """net(tokens, cond) -> logits: position i sees tokens 0 to i alone.

    Args:
        space: Of a datum; its vocabulary and one start token are read, its length is the limit.
            Where it has an end, a document sees nothing of those before it in its row.
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
        kv_heads: Of keys and values, each shared by a group of heads (Ainslie et al., 2023,
            arXiv:2305.13245); divides heads; 0: as many as heads.
        window: The last tokens that a position attends to, itself among them, besides the
            conditions (Beltagy et al., 2020, arXiv:2004.05150); 0: all.
        tied: The head's weights are the tokens' embeddings (Press and Wolf, 2017,
            arXiv:1608.05859), which then start smaller.
        gated: The feed-forward net is SwiGLU (Shazeer, 2020, arXiv:2002.05202, Eq. 6), with half
            as many weights again.

    Raises:
        BadInput: width, heads and kv_heads do not divide each other.
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
        kv_heads: Annotated[int, Interval(ge=0)] = 0,
        window: Annotated[int, Interval(ge=0)] = 0,
        tied: bool = False,
        gated: bool = False,
    ):
        super().__init__()
        if width % (2 * heads):
            raise BadInput(
                f"width = {width} with heads = {heads} leaves {width / heads:g} features a head: "
                f"an even number is needed. Choose a multiple of {2 * heads}."
            )
        kv_heads = kv_heads or heads
        if heads % kv_heads:
            raise BadInput(
                f"heads = {heads} cannot share kv_heads = {kv_heads} evenly. Choose a divisor of "
                f"{heads}, or 0 for as many as heads."
            )
        self.length, self.start = math.prod(space.shape), space.vocab
        self.kv_heads, self.features = kv_heads, width // heads
        self.closes = space.end is not None
        self.span = min(window or self.length, self.length)
        self.shifts = _shifts(space)
        self.embed = nn.Embedding(len(self.shifts) * (space.vocab + 1), width)
        self.places = nn.Parameter(torch.zeros(self.length, width))
        self.cond = ConditionVector(conditions, width, scale=0.05)
        self.context = ConditionSequence(conditions, width, layers=text_layers)
        self.ahead = sum(self.context.lengths.values())
        self.mix = nn.Parameter(torch.full((layers - 1,), 0.1))
        self.blocks = nn.ModuleList(
            Block(width, heads, expand, dropout, kv_heads, gated) for _ in range(layers)
        )
        self.head = None if tied else nn.Linear(width, space.vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=OWN / width if tied else 0.05)
        if self.head is not None:
            nn.init.normal_(self.head.weight, std=0.001)
        self.register_buffer(
            "turns", turns(self.ahead + self.length, self.features), persistent=False
        )
        self.register_buffer("back", torch.tensor(self.shifts), persistent=False)

    def cache(self, n: int) -> Cache:
        """Room for n rows of full length, on the device of the weights."""
        weight = self.embed.weight
        room = -(-(self.ahead + self.span) // CHUNK) * CHUNK
        shape = len(self.blocks), n, self.kv_heads, room, self.features
        before = self.shifts[-1]
        tokens = torch.full((n, before + self.length), self.start, device=weight.device)
        lengths = torch.zeros(n, dtype=torch.long, device=weight.device)
        empty, cond = weight.new_empty, weight.new_empty(n, weight.shape[1])
        return Cache(empty(shape), empty(shape), tokens, cond, lengths, self.ahead, self.span)

    def forward(self, tokens: Tensor, cond: Condition) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Name -> (B, ...).
        """
        length = tokens.shape[1]
        begin = begins(tokens, self.start) if self.closes else None
        at = slice(length) if begin is None else torch.arange(length, device=begin.device) - begin
        x = self._embed(tokens) + self.places[at]
        if self.cond.parts:
            x = x + self.cond(cond, len(x))[:, None]
        x, mask = self._after(cond, x), None
        if length > self.span or begin is not None:
            mask = sliding(x.shape[1], self.ahead, self.span, x.device)
            mask = mask if begin is None else mask & apart(begin, self.ahead)
        x = self._through(x, slice(x.shape[1]), partial(causal, mask))
        return self._logits(x[:, self.ahead :])

    @torch.no_grad()
    def begin(self, cache: Cache, fresh: Sequence[Fresh]) -> None:
        """Let rows of a cache begin anew."""
        for one in fresh:
            x, places = self._opened(cache, one)
            if len(places):
                self._through(x, places, cache.beginning(one, len(places)))
            cache.lengths[one.rows] = one.tokens.shape[1]

    @torch.no_grad()
    def follow(self, cache: Cache, tokens: Tensor, fresh: Sequence[Fresh] = ()) -> Tensor:
        """See `Caching`; what begins is computed with the others, as weights are read once."""
        n, before = len(tokens), self.shifts[-1]
        rows, at = torch.arange(n, device=tokens.device), cache.lengths[:n].clone()
        places, attend = at + self.ahead, cache.following(n)
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

    @torch.no_grad()
    def follow_on(self, cache: Cache, tokens: Tensor) -> Tensor:
        """Let the first row of a cache read several more tokens in one pass.

        Bit for bit the logits of `follow` in a company of k, where k is a multiple of BLOCK. To
        set `cache.lengths[0]` back afterwards is to take back the last of them.

        Args:
            cache: Of `cache`.
            tokens: (k,); a datum's length leaves room for them.

        Returns:
            Logits of the token after each, (k, V).

        Raises:
            BadInput: There is a window: what has slid out of it could not be taken back.
        """
        if self.span < self.length:
            raise BadInput("a net with a window takes no tokens back: guesses are of no use to it.")
        k, before = len(tokens), self.shifts[-1]
        at = cache.lengths[0] + torch.arange(k, device=tokens.device)
        attend = cache.following(1, k)
        cache.tokens[0, before + at] = tokens
        x = self._embed_at(cache.tokens[:1].expand(k, -1), tokens, at) + self.places[at]
        if self.cond.parts:
            x = x + cache.cond[:1]
        cache.lengths[0] += k
        return self._logits(self._through(x[None], at + self.ahead, attend)[0])

    def _together(
        self, cache: Cache, x: Tensor, at: Tensor, attend: Attend, fresh: Sequence[Fresh]
    ) -> Tensor:
        """Rows that go on, (n, D) at places (n,), and rows that begin, in one pass."""
        opened = [(one, *self._opened(cache, one)) for one in fresh]
        opened = [(one, read, places) for one, read, places in opened if len(places)]
        begun = [cache.beginning(one, len(places)) for one, _, places in opened]
        parts = [x, *(read.flatten(0, 1) for _, read, _ in opened)]
        places = torch.cat([at, *(places.repeat(len(read)) for _, read, places in opened)])
        sizes = [len(part) for part in parts]

        def both(i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            first, *others = zip(*(part.split(sizes, 1) for part in (q, k, v)), strict=True)
            found = [attend(i, *first)]
            for (_, read, _), within, qkv in zip(opened, begun, others, strict=True):
                rows = [part.unflatten(1, read.shape[:2])[0] for part in qkv]
                found.append(within(i, *rows).flatten(0, 1)[None])
            return torch.cat(found, 1)

        x = self._through(torch.cat(parts)[None], places, both)
        for one in fresh:
            cache.lengths[one.rows] = one.tokens.shape[1]
        return x

    def _opened(self, cache: Cache, one: Fresh) -> tuple[Tensor, Tensor]:
        """What the blocks read of rows that begin, (k, L, D), and its places, (L,)."""
        (k, known), rows, tokens = one.tokens.shape, one.rows, one.tokens
        cache.cond[rows], cache.tokens[rows] = self.cond(one.cond, k), self.start
        cache.clear(rows)
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
        x = rms_norm(x)
        y = F.linear(x, self.embed.weight[: self.start]) if self.head is None else self.head(x)
        return CAP * (y / CAP).tanh()

    def _embed(self, tokens: Tensor) -> Tensor:
        """The sum of the embeddings of each position's token and of its neighbours before it."""
        index = [tokens]
        for j, shift in enumerate(self.shifts[1:], 1):
            padded = F.pad(tokens, (shift, 0), value=self.start)
            index.append(padded[:, : tokens.shape[1]] + j * (self.start + 1))
        return self._sum(torch.stack(index, -1)) if len(index) > 1 else self.embed(tokens)

    def _embed_at(self, held: Tensor, tokens: Tensor, at: Tensor) -> Tensor:
        """The same of one position in each row: (rows, before + L), (n,), (n,) -> (n, D)."""
        if len(self.shifts) == 1:
            return self.embed(tokens)
        places = at[:, None] + (self.shifts[-1] - self.back)
        kinds = torch.arange(len(self.shifts), device=at.device) * (self.start + 1)
        return self._sum(held[: len(at)].gather(1, places) + kinds)

    def _sum(self, index: Tensor) -> Tensor:
        bags = F.embedding_bag(index.flatten(0, -2), self.embed.weight, mode="sum")
        return bags.unflatten(0, index.shape[:-1])


def _shifts(space: Tokens) -> tuple[int, ...]:
    """How far before a position lie the further tokens whose embeddings it is given.

    The token at position i is datum i - 1. In a grid, datum i - W lies above datum i.
    """
    if len(space.shape) == 2 and space.shape[1] > 2:
        columns = space.shape[1]
        return 0, columns - 2, columns - 1, columns  # left, above right, above, above left
    return (0,)
