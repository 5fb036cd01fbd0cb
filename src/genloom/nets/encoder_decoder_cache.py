"""What rows of an encoder-decoder have read: a last segment, and a memory of what precedes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, final

import torch
from torch import Tensor

from genloom.nets.attention import attention
from genloom.nets.transformer_cache import CHUNK
from genloom.nets.transformer_cache import Cache as Own

Look = Callable[[int, Tensor], Tensor]
"""(layer, q (B, L, heads, features)) -> what they find in the memory, like q."""


@final
@dataclass
class Cache:
    """See `EncoderDecoder.follow`.

    Args:
        own: Keys and values of each row's last segment; its tokens, (rows, L), are all of them.
        keys: Of the memory, (layers, rows, heads, room, features).
        values: The same.
        held: Positions of the memory that each row has, (rows,).
        since: Where the last segment begins, (rows,).
        lengths: How many tokens each row holds, (rows,).
    """

    own: Own
    keys: Tensor
    values: Tensor
    held: Tensor
    since: Tensor
    lengths: Tensor

    @classmethod
    def empty(
        cls, n: int, layers: int, heads: int, length: int, ahead: int, weight: Tensor
    ) -> Self:
        """Room for n rows.

        All is zero: what is masked is multiplied by 0, which does not rid of a NaN.

        Args:
            n: Rows.
            layers: Of the decoder.
            heads: Of attention.
            length: Tokens of a row.
            ahead: Positions that the memory holds besides.
            weight: Of the type, the device and the features, (..., D), of a position.
        """
        width, device = weight.shape[1], weight.device
        shapes = (
            (layers, n, heads, size + -size % CHUNK, width // heads)
            for size in (length, length, ahead + length, ahead + length)
        )
        own_keys, own_values, keys, values = map(weight.new_zeros, shapes)
        zero, tokens = (torch.zeros(s, dtype=torch.long, device=device) for s in (n, (n, length)))
        own = Own(own_keys, own_values, tokens, weight.new_zeros(n, width), zero, 0, length)
        return cls(own, keys, values, zero + ahead, zero.clone(), zero.clone())

    def move(self, source: int, target: int) -> None:
        """Make one row what another one is."""
        self.own.move(source, target)
        for part in (self.keys, self.values):
            part[:, target] = part[:, source]
        for part in (self.held, self.since, self.lengths):
            part[target] = part[source]

    def hold(self, row: int, found: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Add to the memory of a row: keys and values of each layer, (1, S, heads, features)."""
        first = int(self.held[row])
        slots = slice(first, first + found[0][0].shape[1])
        for i, parts in enumerate(found):
            for held, new in zip((self.keys, self.values), parts, strict=True):
                held[i, row, :, slots] = new[0].transpose(0, 1)
        self.held[row] = slots.stop

    def looking(self, n: int) -> Look:
        """Attention of one position in each of the first n rows, (1, n, heads, features).

        All look at as many slots as the fullest holds, in whole chunks, and mask the others.
        """
        held = self.held[:n]
        read = -(-int(held.max()) // CHUNK) * CHUNK
        hidden = torch.arange(read, device=held.device) >= held[:, None]
        mask = self.keys.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)[:, None, None]

        def look(i: int, q: Tensor) -> Tensor:
            keys, values = self.keys[i, :n, :, :read], self.values[i, :n, :, :read]
            return attention(q[0][:, :, None], keys, values, mask)[:, :, 0][None]

        return look

    def looking_back(self, row: int) -> Look:
        """Attention of many positions of one row, (1, L, heads, features)."""
        held = int(self.held[row])
        mask = torch.ones(1, 1, 1, held, dtype=torch.bool, device=self.held.device)
        keys, values = (part[:, row : row + 1, :, :held] for part in (self.keys, self.values))

        def look(i: int, q: Tensor) -> Tensor:
            return attention(q.transpose(1, 2), keys[i], values[i], mask).transpose(1, 2)

        return look
