"""Encoder and decoder: prompts are read in both directions, answers are drawn looking at them.

Vaswani et al., 2017 (arXiv:1706.03762), section 3, with the parts of the plain decoder (see
`transformer`), and each layer's attention to the prompt before its attention to the answer. A row
is that of the plain decoder: documents one after the other, with marks that open their parts. The
mark of an answer begins a segment. The decoder sees its own segment, from left to right; the
encoder reads all segments, each with those before it, and is seen by the segments after it. So a
talk of several answers is one pass, no token sees what comes after it, and the likelihood of all
tokens, the prompt's too, is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space, Tokens
from genloom.decoding.rows import Fresh
from genloom.nets.attention import Attend, begins, causal, turns
from genloom.nets.embed import ConditionSequence, ConditionVector, Dropout
from genloom.nets.encoder_decoder_cache import Cache, Look
from genloom.nets.pointwise import rms_norm
from genloom.nets.stack import Stack
from genloom.nets.transformer import CAP
from genloom.nets.transformer_block import Block


@final
class Layer(nn.Module):
    """Attention to the memory, whose output starts at zero, and then a block of the decoder."""

    def __init__(self, width: int, heads: int, expand: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.memory = nn.Parameter(torch.empty(2, width, width))  # matrices of keys, of values
        self.out = nn.Linear(width, width, bias=False)
        self.dropout = Dropout(dropout)
        self.block = Block(width, heads, expand, dropout, heads, gated=False)
        bound = math.sqrt(3 / width)  # uniform with deviation 1 / sqrt(width)
        for weight in (self.query.weight, self.memory):
            nn.init.uniform_(weight, -bound, bound)
        nn.init.zeros_(self.out.weight)

    def forward(
        self, x: Tensor, angles: Tensor, attend: Callable[..., Tensor], look: Callable[..., Tensor]
    ) -> Tensor:
        """(B, L, D) -> the same; look(q), attend(q, k, v): `Look` and `Attend` of one layer."""
        query = rms_norm(self.query(rms_norm(x)).unflatten(-1, (self.heads, -1)))
        x = x + self.dropout(self.out(look(query).flatten(2)))
        return self.block(x, angles, attend)

    def remembered(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory: (B, S, D) -> twice (B, S, heads, features)."""
        both = F.linear(memory, self.memory.flatten(0, 1))
        keys, values = both.unflatten(-1, (2, self.heads, -1)).unbind(2)
        return rms_norm(keys), values


@final
class EncoderDecoder(nn.Module):
    """net(tokens, cond) -> logits: position i sees tokens 0 to i of its document alone.

    Args:
        space: Of a datum; its last role opens an answer. Without roles there is no prompt, and the
            encoder reads the conditions alone.
        conditions: Those that enter as a vector are added to every position; those that enter as a
            sequence are read by the encoder, apart from the prompt (as captions are by that of Yu
            et al., 2022, arXiv:2206.10789).
        width: Features of a position.
        layers: Of the decoder.
        encoder_layers: Of the encoder.
        heads: Of attention; width / heads must be even.
        expand: Hidden features of the feed-forward nets, in widths.
        dropout: Share of each branch's output that is dropped in training.
    """

    turns: Tensor
    run: Tensor

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        width: Annotated[int, Interval(ge=2)] = 96,
        layers: Annotated[int, Interval(ge=1)] = 4,
        encoder_layers: Annotated[int, Interval(ge=1)] = 4,
        heads: Annotated[int, Interval(ge=1)] = 2,
        expand: Annotated[int, Interval(ge=1)] = 4,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.0,
    ):
        super().__init__()
        self.length, self.start = math.prod(space.shape), space.vocab
        self.heads, self.features, self.closes = heads, width // heads, space.end is not None
        self.embed = nn.Embedding(space.vocab + 1, width)
        self.places = nn.Parameter(torch.zeros(2, self.length, width))  # in a prompt; in a segment
        self.cond = ConditionVector(conditions, width, scale=0.05)
        self.context = ConditionSequence(conditions, width)
        self.ahead = 1 + sum(self.context.lengths.values())
        self.nothing = nn.Parameter(0.05 * torch.randn(1, 1, width))  # what else there is to see
        self.encoder = Stack(width, encoder_layers, heads, expand, dropout)
        self.mix = nn.Parameter(torch.full((layers - 1,), 0.1))
        self.blocks = nn.ModuleList(Layer(width, heads, expand, dropout) for _ in range(layers))
        self.head = nn.Linear(width, space.vocab, bias=False)
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.head.weight, std=0.001)
        angles = turns(max(self.ahead, self.length), self.features)
        self.register_buffer("turns", angles, persistent=False)
        run = torch.tensor(space.roles[-1] if space.roles else (), dtype=torch.long)
        self.register_buffer("run", run, persistent=False)

    def forward(self, tokens: Tensor, cond: Condition) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Name -> (B, ...).
        """
        vector, memory = self.cond(cond, len(tokens)), self._given(cond, len(tokens))
        begin, part, layers = self._begin(tokens), self._parts(tokens), self._layers()
        place = torch.arange(tokens.shape[1], device=tokens.device)
        same = (begin[:, None] == begin[:, :, None])[:, None]
        row, column = part[:, None, :, None], part[:, None, None]
        seen = torch.ones(1, 1, 1, self.ahead, dtype=torch.bool, device=tokens.device)
        if len(self.run):
            seen = F.pad(same & (column < row), (self.ahead, 0), value=True)
            read = self._read(tokens, vector, begin, same & (column <= row))
            memory = torch.cat([memory, read], 1)

        def look(i: int, q: Tensor) -> Tensor:
            return causal(seen, i, q, *layers[i].remembered(memory))

        since = torch.where(self._opens(tokens) | (place == begin), place, 0).cummax(1).values
        x = self.embed(tokens) + self.places[1][place - since] + vector[:, None]
        own = same & (column == row) & (place[:, None] >= place)
        return self._logits(self._through(x, self.turns[place], partial(causal, own), look))

    def cache(self, n: int) -> Cache:
        """Room for n rows of full length, on the device of the weights."""
        return Cache.empty(
            n, len(self.blocks), self.heads, self.length, self.ahead, self.embed.weight
        )

    @torch.no_grad()
    def begin(self, cache: Cache, fresh: Sequence[Fresh]) -> None:
        """Let rows of a cache begin anew; each is read alone, so that its company is nothing."""
        for one in fresh:
            for i, tokens in enumerate(one.tokens.split(1)):
                cond = {name: value[i : i + 1] for name, value in one.cond.items()}
                self._begun(cache, one.first + i, tokens, cond)

    @torch.no_grad()
    def follow(self, cache: Cache, tokens: Tensor, fresh: Sequence[Fresh] = ()) -> Tensor:
        """See `Caching`: rows that begin do so after the others have read."""
        n, own = len(tokens), cache.own
        rows, place = torch.arange(n, device=tokens.device), cache.lengths[:n].clone()
        own.tokens[rows, place] = tokens
        for row in self._asked(own.tokens[:n], place).nonzero()[:, 0].tolist():
            self._remember(cache, row, int(place[row]))
        at = own.lengths[:n] = (place - cache.since[:n]).clamp(min=0)
        attend, look = own.following(n), cache.looking(n)
        x = self.embed(tokens) + self.places[1][at] + own.cond[:n]
        x = self._through(x[None], self.turns[at], attend, look)
        cache.lengths[:n] += 1
        own.lengths[:n] += 1
        self.begin(cache, fresh)
        return self._logits(x[0])

    def _begun(self, cache: Cache, row: int, tokens: Tensor, cond: Condition) -> None:
        """One row that begins with tokens, (1, P)."""
        own, known = cache.own, tokens.shape[1]
        own.cond[row], own.tokens[row, :known] = self.cond(cond, 1)[0], tokens[0]
        cache.held[row] = cache.since[row] = 0
        self._hold(cache, row, self._given(cond, 1))
        if opens := self._opens(tokens)[0].nonzero()[:, 0].tolist():
            self._remember(cache, row, opens[-1])  # what was said before the last answer
        last = tokens[:, int(cache.since[row]) :]
        if length := last.shape[1]:
            x = self.embed(last) + self.places[1][:length] + own.cond[row]
            attend = own.beginning(Fresh(row, last, cond), length)
            self._through(x, self.turns[:length], attend, cache.looking_back(row))
        own.lengths[row], cache.lengths[row] = length, known

    def _remember(self, cache: Cache, row: int, count: int) -> None:
        """Let the encoder read the first tokens of a row, whose next one opens an answer."""
        tokens = cache.own.tokens[row : row + 1, :count]
        part, begin = self._parts(tokens), torch.zeros_like(tokens)
        mask = (part[:, None] <= part[:, :, None])[:, None]
        memory = self._read(tokens, cache.own.cond[row : row + 1], begin, mask)
        cache.held[row], cache.since[row] = self.ahead, count
        self._hold(cache, row, memory)

    def _hold(self, cache: Cache, row: int, memory: Tensor) -> None:
        cache.hold(row, [layer.remembered(memory) for layer in self._layers()])

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.blocks if isinstance(layer, Layer)]

    def _given(self, cond: Condition, n: int) -> Tensor:
        """What all positions see: nothing, and the conditions that are sequences: (n, S, D)."""
        x, context = self.nothing.expand(n, -1, -1), self.context(cond, n)
        x = x if context is None else torch.cat([x, context.to(x.dtype)], 1)
        return self.encoder(x, self.turns[: self.ahead])

    def _read(self, tokens: Tensor, vector: Tensor, begin: Tensor, mask: Tensor) -> Tensor:
        """What the encoder makes of tokens: (B, L) -> (B, L, D)."""
        place = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embed(tokens) + self.places[0][place - begin] + vector[:, None]
        return self.encoder(x, self.turns[place], mask)

    def _through(self, x: Tensor, angles: Tensor, attend: Attend, look: Look) -> Tensor:
        """The layers of the decoder: (B, L, D) -> the same."""
        angles = torch.view_as_complex(angles)[:, None, None]
        x = first = rms_norm(x)
        for i, layer in enumerate(self._layers()):
            if i:
                x = torch.addcmul(x, first, self.mix[i - 1])
            x = layer(x, angles, partial(attend, i), partial(look, i))
        return x

    def _logits(self, x: Tensor) -> Tensor:
        return CAP * (self.head(rms_norm(x)) / CAP).tanh()

    def _begin(self, tokens: Tensor) -> Tensor:
        """Where the document of each position begins, (B, L) -> (B, L)."""
        return begins(tokens, self.start) if self.closes else torch.zeros_like(tokens)

    def _opens(self, tokens: Tensor) -> Tensor:
        """Where the mark of an answer is complete, (B, L) -> (B, L)."""
        if not len(self.run) or not tokens.shape[1]:
            return torch.zeros_like(tokens, dtype=torch.bool)
        runs = F.pad(tokens, (len(self.run) - 1, 0), value=-1).unfold(1, len(self.run), 1)
        return (runs == self.run).all(-1)

    def _parts(self, tokens: Tensor) -> Tensor:
        """The number of the segment of each position, which rises along a row: (B, L)."""
        return self._opens(tokens).cumsum(1)

    def _asked(self, held: Tensor, place: Tensor) -> Tensor:
        """Whether the token at a place of each row completes the mark: (n, L), (n,) -> (n,)."""
        back = place[:, None] + torch.arange(1 - len(self.run), 1, device=place.device)
        same = (held.gather(1, back.clamp(min=0)) == self.run) & (back > 0)
        return same.all(1) & bool(len(self.run))  # the first token is the start token
