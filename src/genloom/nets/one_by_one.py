"""Causal nets whose rows begin one by one: what they hold, and how they read one token more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from genloom.core import Condition
from genloom.decoding.rows import Fresh
from genloom.nets.embed import ConditionVector
from genloom.nets.pointwise import rms_norm
from genloom.nets.transformer import CAP


@final
@dataclass
class Cache:
    """What rows have read.

    Args:
        keys: (layers, rows, heads, slots, features).
        values: The same.
        cond: What the conditions add to each position, (rows, D).
        lengths: How many tokens each row has read, (rows,).
    """

    keys: Tensor
    values: Tensor
    cond: Tensor
    lengths: Tensor

    def move(self, source: int, target: int) -> None:
        """Make one row what another one is."""
        for part in (self.keys, self.values):
            part[:, target] = part[:, source]
        for part in (self.cond, self.lengths):
            part[target] = part[source]


class OneByOne(nn.Module, ABC):
    """A net that `Autoregressive` samples from; a subclass has the three layers below."""

    embed: nn.Embedding  # of tokens, the start token last
    cond: ConditionVector  # added to every position
    head: nn.Linear

    @abstractmethod
    def _room(self) -> tuple[int, int, int, int]:
        """Layers, heads, slots of a row, and features of a head, in a cache."""

    @abstractmethod
    def _open(self, cache: Cache, row: int, x: Tensor) -> None:
        """Let a row hold its first positions, (1, P, D); P may be 0."""

    @abstractmethod
    def _next(self, cache: Cache, x: Tensor, at: Tensor) -> Tensor:
        """Let the first n rows hold one more position each: (n, D) at places (n,) -> (n, D)."""

    def cache(self, n: int) -> Cache:
        """Room for n rows, on the device of the weights."""
        weight, (layers, *room) = self.embed.weight, self._room()
        zeros = weight.new_zeros  # what is masked is multiplied by 0, which does not rid of a NaN
        lengths = torch.zeros(n, dtype=torch.long, device=weight.device)
        keys, values = (zeros(layers, n, *room) for _ in range(2))
        return Cache(keys, values, zeros(n, weight.shape[1]), lengths)

    @torch.no_grad()
    def begin(self, cache: Cache, fresh: Sequence[Fresh]) -> None:
        """Let rows of a cache begin anew; each is read alone, so that its company is nothing."""
        for one in fresh:
            for i, tokens in enumerate(one.tokens.split(1)):
                row, cond = one.first + i, {k: v[i : i + 1] for k, v in one.cond.items()}
                cache.cond[row], cache.lengths[row] = self.cond(cond, 1)[0], tokens.shape[1]
                self._open(cache, row, self.embed(tokens) + cache.cond[row])

    @torch.no_grad()
    def follow(self, cache: Cache, tokens: Tensor, fresh: Sequence[Fresh] = ()) -> Tensor:
        """See `Caching`: rows that begin do so after the others have read."""
        n = len(tokens)
        at = cache.lengths[:n].clone()
        logits = self._logits(self._next(cache, self.embed(tokens) + cache.cond[:n], at))
        cache.lengths[:n] += 1
        self.begin(cache, fresh)
        return logits

    def _embedded(self, tokens: Tensor, cond: Condition) -> Tensor:
        """What the layers read: (B, L) -> (B, L, D)."""
        return self.embed(tokens) + self.cond(cond, len(tokens))[:, None]

    def _logits(self, x: Tensor) -> Tensor:
        return CAP * (self.head(rms_norm(x)) / CAP).tanh()
