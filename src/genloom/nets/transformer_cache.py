"""What a decoder has read, in rows of any length each, and attention to it.

Keys and values of the conditions come first. Those of the tokens lie in a ring of as many slots as
a position sees, so that a sliding window bounds memory too: the rolling buffer of Jiang et al.,
2023 (arXiv:2310.06825), section 2. Keys are turned before they are held, so their order is free.

A row has an address for each slot, and memory for those that it has used: the kernel gives pages to
what is written (docs/decisions/0010-pages.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from genloom.decoding.rows import Fresh
from genloom.nets.attention import Attend, attention, causal, sliding

CHUNK = 16  # slots that are attended to are rounded up to a multiple of this many


@final
@dataclass
class Cache:
    """What a net has read, row by row; see `Transformer.begin` and `Transformer.follow`.

    Args:
        keys: (layers, rows, kv_heads, room, features); room is a multiple of CHUNK.
        values: The same.
        tokens: (rows, before + L), after as many start tokens as a grid's neighbours need.
        cond: What the conditions add to each position, (rows, D).
        lengths: How many tokens each row holds, (rows,).
        ahead: Positions of the conditions that are read before the tokens.
        span: Tokens that a position sees at most, itself among them.
        clean: How many slots of each row hold numbers, and not what was there before: a slot that
            is masked is multiplied by 0, and NaN would stay.
    """

    keys: Tensor
    values: Tensor
    tokens: Tensor
    cond: Tensor
    lengths: Tensor
    ahead: int
    span: int
    clean: list[int] = field(init=False)

    def __post_init__(self):
        self.clean = [0] * len(self.lengths)

    def move(self, source: int, target: int) -> None:
        """Make one row what another one is."""
        held = self.ahead + min(int(self.lengths[source]), self.span)
        for part in (self.keys, self.values):
            part[:, target, :, :held] = part[:, source, :, :held]
        self.clean[target] = max(self.clean[target], held)
        for part in (self.tokens, self.cond, self.lengths):
            part[target] = part[source]

    def clear(self, rows: slice) -> None:
        """Forget what rows held, before they begin anew."""
        for row in range(rows.start, rows.stop):
            self._wipe(row, 0, self.clean[row])

    def following(self, n: int, k: int = 1) -> Attend:
        """Attention of the first n rows, (1, n, ...), that read one more token each.

        All attend to as many slots as the fullest row holds, in whole chunks, and mask what they
        do not hold. With k > 1 the first row reads k more, (1, k, ...), each as a row of its own
        that holds one more of them; nothing may have slid out of its window.
        """
        kv_heads, room = self.keys.shape[2:4]
        at, device = self.lengths[:n], self.lengths.device
        if k > 1:
            at = at[0] + torch.arange(k, device=device)
        last = self.ahead + at.clamp(max=self.span - 1)
        read = -(-(int(last.max()) + 1) // CHUNK) * CHUNK
        for row in range(n):
            if self.clean[row] < read:
                self._wipe(row, self.clean[row], read)
                self.clean[row] = read
        hidden = torch.arange(read, device=device) > last[:, None]
        mask = self.cond.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)[:, None, None]
        lanes = torch.arange(n * kv_heads, device=device).view(n, kv_heads).expand(len(at), -1)
        target = (lanes * room + (self.ahead + at % self.span)[:, None]).flatten()

        flat = [part.flatten(1, 3).unbind() for part in (self.keys, self.values)]
        held = [
            part[:, :n, :, :read].expand(-1, len(at), -1, -1, -1).unbind()
            for part in (self.keys, self.values)
        ]

        def attend(i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            flat[0][i].index_copy_(0, target, k[0].flatten(0, 1))
            flat[1][i].index_copy_(0, target, v[0].flatten(0, 1))
            groups = q[0].unflatten(1, (kv_heads, -1))  # a group's queries are as those of a row
            return attention(groups, held[0][i], held[1][i], mask).flatten(1, 2)[None]

        return attend

    def beginning(self, one: Fresh, length: int) -> Attend:
        """Attention within rows that begin, which holds what they read.

        Args:
            one: The rows.
            length: Positions of each, with those that fill up the last block.
        """
        known, device = one.tokens.shape[1], self.lengths.device
        mask = sliding(length, self.ahead, self.span, device) if known > self.span else None
        for row in range(one.first, one.first + len(one.tokens)):
            self.clean[row] = max(self.clean[row], self.ahead + min(known, self.span))
        first = torch.arange(self.ahead, device=device)
        last = torch.arange(max(known - self.span, 0), known, device=device)
        source = torch.cat([first, self.ahead + last])
        target = torch.cat([first, self.ahead + last % self.span])

        def attend(i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            for part, read in ((self.keys, k), (self.values, v)):
                part[i, one.rows].index_copy_(2, target, read[:, source].transpose(1, 2))
            return causal(mask, i, q, k, v)

        return attend

    def _wipe(self, row: int, start: int, stop: int) -> None:
        for part in (self.keys, self.values):
            part[:, row, :, start:stop] = 0
