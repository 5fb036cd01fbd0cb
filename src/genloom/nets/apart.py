"""Documents that share a row, for nets that read from left to right: each in a row of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def apart(net: Callable[[Tensor, Tensor], Tensor], tokens: Tensor, start: int) -> Tensor:
    """Let a net read each document of a row from its start token on, knowing nothing of the others.

    Args:
        net: (documents (D, longest), the row of each (D,)) -> (D, longest, outputs).
        tokens: (B, L), each row beginning with a start token.
        start: The token that begins a document; a later one that another follows only fills up.

    Returns:
        (B, L, outputs); 0 where a start token only fills up.
    """
    n, length = tokens.shape
    begins = tokens == start
    real = begins.clone()
    real[:, 1:-1] &= ~begins[:, 2:]
    row, first = real.nonzero(as_tuple=True)
    place = torch.arange(length, device=tokens.device)
    later = torch.where(begins, place, length).flip(1).cummin(1).values.flip(1)  # this or the next
    stop = torch.cat([later[:, 1:], later.new_full((n, 1), length)], 1)[row, first]
    longest = int((stop - first).max())
    at = first[:, None] + place[:longest]
    inside = at < stop[:, None]
    documents = tokens[row[:, None], at.clamp(max=length - 1)].masked_fill(~inside, start)
    made = net(documents, row)
    found = made.new_zeros(n, length, made.shape[-1])
    rows = row[:, None].expand_as(at)
    return found.index_put((rows[inside], at[inside]), made[inside])
