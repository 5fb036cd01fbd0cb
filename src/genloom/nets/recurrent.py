"""Recurrent nets over a sequence of tokens: Elman's, LSTM and GRU, trained whole, sampled stepwise.

Elman, Finding structure in time, 1990; Hochreiter and Schmidhuber, Long short-term memory, 1997,
with a forget gate that starts open (Gers et al., Learning to forget, 2000); Cho et al., 2014
(arXiv:1406.1078), with the reset gate after the product, as torch and cuDNN have it. Layers are
stacked, and dropout stays off the recurrent path, as in Zaremba et al., 2014 (arXiv:1409.2329). The
matrix of the output may be the embedding's: Press and Wolf, 2017 (arXiv:1608.05859).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import Condition, Interval, Space, Tokens
from genloom.decoding.rows import Fresh
from genloom.nets.apart import apart
from genloom.nets.embed import ConditionSequence, ConditionVector, Dropout
from genloom.nets.packed import BLOCK


class Cell(NamedTuple):
    """A kind of cell.

    Args:
        layer: A layer over whole sequences.
        step: (x, state, weights of the layer) -> the next state; the layer gives its first part.
        parts: Tensors of a state.
    """

    layer: Callable[..., nn.RNNBase]
    step: Callable[[Tensor, Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]]
    parts: int


CELLS = {
    "rnn": Cell(nn.RNN, lambda x, state, w: [torch.rnn_tanh_cell(x, *state, *w)], 1),
    "lstm": Cell(nn.LSTM, lambda x, state, w: torch.lstm_cell(x, state, *w), 2),
    "gru": Cell(nn.GRU, lambda x, state, w: [torch.gru_cell(x, *state, *w)], 1),
}


@dataclass
class Cache:
    """The states that rows are in; see `Recurrent.follow`.

    Args:
        states: (layers, parts, rows, D).
        cond: What the conditions add to each input, (rows, D).
        lengths: How many tokens each row has read, (rows,).
    """

    states: Tensor
    cond: Tensor
    lengths: Tensor

    def move(self, source: int, target: int) -> None:
        """Make one row what another one is."""
        self.states[:, :, target] = self.states[:, :, source]
        for part in (self.cond, self.lengths):
            part[target] = part[source]


@final
class Recurrent(nn.Module):
    """net(tokens, cond) -> logits: position i from a state that has read tokens 0 to i.

    Args:
        space: Of a datum; its vocabulary and one start token are read, in raster order. Where it
            has an end, each document of a row is read from a fresh state.
        conditions: Those that enter as a vector are added to every input; those that enter as a
            sequence are read before the tokens.
        cell: See `CELLS`.
        width: Features of an input and of a state.
        layers: Each reads the states of the one below.
        dropout: Share of each layer's output that is dropped in training.
        tied: The output's matrix is the embedding's.
    """

    def __init__(
        self,
        space: Tokens,
        conditions: Mapping[str, Space],
        *,
        cell: Literal["rnn", "lstm", "gru"] = "lstm",
        width: Annotated[int, Interval(ge=1)] = 256,
        layers: Annotated[int, Interval(ge=1)] = 2,
        dropout: Annotated[float, Interval(ge=0, le=0.9)] = 0.2,
        tied: bool = True,
    ):
        super().__init__()
        self.cell = CELLS[cell]
        self.start, self.closes = space.vocab, space.end is not None
        self.embed = nn.Embedding(space.vocab + 1, width)
        self.cond = ConditionVector(conditions, width)
        self.context = ConditionSequence(conditions, width)
        self.ahead = sum(self.context.lengths.values())
        self.layers = nn.ModuleList(
            self.cell.layer(width, width, batch_first=True) for _ in range(layers)
        )
        self.dropout = Dropout(dropout)
        self.out = None if tied else nn.Parameter(torch.empty(space.vocab, width))
        self.bias = nn.Parameter(torch.zeros(space.vocab))
        for table in (self.embed.weight, self.out):
            if table is not None:
                nn.init.normal_(table, std=width**-0.5)
        for layer in self.layers:
            if isinstance(layer, nn.LSTM):
                _open_forget_gate(layer)

    def forward(self, tokens: Tensor, cond: Condition) -> Tensor:
        """(B, L) -> (B, L, V).

        Args:
            tokens: Integers in [0, vocab]; the last, vocab, is the start token.
            cond: Name -> (B, ...).
        """
        if not self.closes:
            return self._read(tokens, cond)
        n, length = tokens.shape

        def read(documents: Tensor, row: Tensor) -> Tensor:
            parts = (row, n, self.ahead + length) if len(row) > n else None
            return self._read(documents, {k: v[row] for k, v in cond.items()}, parts)

        return apart(read, tokens, self.start)

    def _read(
        self, tokens: Tensor, cond: Condition, parts: tuple[Tensor, int, int] | None = None
    ) -> Tensor:
        """The logits of rows of one document each; `parts` as in `Dropout`."""
        x = self._inputs(tokens, cond, self.cond(cond, len(tokens)))
        for layer in self.layers:
            x = self.dropout(layer(x)[0], parts)
        return self._logits(x[:, self.ahead :])

    def cache(self, n: int) -> Cache:
        """Room for n rows, on the device of the weights."""
        cond = self.bias.new_zeros(n, self.embed.embedding_dim)
        states = cond.new_zeros(len(self.layers), self.cell.parts, *cond.shape)
        return Cache(states, cond, torch.zeros(n, dtype=torch.long, device=cond.device))

    @torch.no_grad()
    def begin(self, cache: Cache, fresh: Sequence[Fresh]) -> None:
        """Let rows of a cache begin anew: with states of zeros, then what they are given."""
        for one in fresh:
            k, known = one.tokens.shape
            # Whole blocks, the last one repeated: a row is the same however many begin with it.
            index = torch.arange(k + -k % BLOCK, device=one.tokens.device).clamp(max=k - 1)
            cond = {name: value[index] for name, value in one.cond.items()}
            vector = self.cond(cond, len(index))
            states = vector.new_zeros(*cache.states.shape[:2], *vector.shape)
            for x in self._inputs(one.tokens[index], cond, vector).unbind(1):
                self._advance(states, x)
            cache.states[:, :, one.rows] = states[:, :, :k]
            cache.cond[one.rows] = vector[:k]
            cache.lengths[one.rows] = known

    @torch.no_grad()
    def follow(self, cache: Cache, tokens: Tensor, fresh: Sequence[Fresh] = ()) -> Tensor:
        """See `Caching`: rows that begin do so after the others have read."""
        n = len(tokens)
        logits = self._logits(
            self._advance(cache.states[:, :, :n], self._embed(tokens) + cache.cond[:n])
        )
        cache.lengths[:n] += 1
        self.begin(cache, fresh)
        return logits

    def _advance(self, states: Tensor, x: Tensor) -> Tensor:
        """One step of all layers from (n, D): the last one's output; it replaces the states."""
        for layer, state in zip(self.layers, states, strict=True):
            assert isinstance(layer, nn.RNNBase)
            found = self.cell.step(x, state.unbind(), layer.all_weights[0])
            for old, new in zip(state, found, strict=True):
                old.copy_(new)
            x = found[0]
        return x

    def _inputs(self, tokens: Tensor, cond: Condition, vector: Tensor) -> Tensor:
        """What the layers read: sequences that are conditions, then the tokens, (B, L, D)."""
        x, context = self._embed(tokens), self.context(cond, len(tokens))
        x = x if context is None else torch.cat([context, x], 1)
        return x + vector[:, None]

    def _embed(self, tokens: Tensor) -> Tensor:
        """Of unit scale, as the conditions are: (...,) -> (..., D)."""
        return self.embed(tokens) * math.sqrt(self.embed.embedding_dim)

    def _logits(self, x: Tensor) -> Tensor:
        weight = self.embed.weight[:-1] if self.out is None else self.out
        return F.linear(x, weight, self.bias)


@torch.no_grad()
def _open_forget_gate(layer: nn.LSTM) -> None:
    """Its bias is 1; torch has two biases, which it adds, of the gates i, f, g and o."""
    for name, value in (("bias_ih_l0", 1.0), ("bias_hh_l0", 0.0)):
        getattr(layer, name).unflatten(0, (4, -1))[1] = value
