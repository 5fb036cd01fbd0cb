"""Changes to a batch of training pictures that leave their meaning alone.

Each row draws its own through `core.uniform`, so that micro-batches and ranks together see what
the whole batch would have seen, and a resumed run what the undisturbed run saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genloom.core import like, uniform
from genloom.errors import BadInput


@final
@dataclass(frozen=True)
class Augment:
    """Mirror, move and cut out, on a batch of stored pictures.

    Args:
        flip: Mirror half of the rows left to right.
        shift: Move each row by up to so many pixels each way; the border is repeated.
        cutout: Side of a grey square at a random place, as a share of the picture's, in [0, 1).
    """

    flip: bool = False
    shift: int = 0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        if type(self.shift) is not int or self.shift < 0:
            raise BadInput(f"shift = {self.shift!r} must be a whole number of pixels, at least 0.")
        if not 0 <= self.cutout < 1:
            raise BadInput(f"cutout = {self.cutout} must lie in [0, 1).")

    def __bool__(self) -> bool:
        return self.flip or self.shift > 0 or self.cutout > 0

    def __call__(self, items: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> the same; the items themselves where there is nothing to do."""
        if not self:
            return items
        b, _, h, w = items.shape
        u = uniform(b, 5, device=items.device)
        if self.flip:
            items = torch.where(like(u[:, 0] < 0.5, items), items.flip(-1), items)
        if self.shift:
            by = (u[:, 1:3] * (2 * self.shift + 1)).long() - self.shift
            rows = (torch.arange(h, device=items.device) + by[:, :1]).clamp(0, h - 1)
            columns = (torch.arange(w, device=items.device) + by[:, 1:]).clamp(0, w - 1)
            places = (rows[:, :, None] * w + columns[:, None, :]).view(b, 1, h * w)
            items = items.flatten(2).gather(2, places.expand(-1, items.shape[1], -1))
            items = items.unflatten(2, (h, w))
        if self.cutout:
            inside = _span(h, self.cutout, u[:, 3])[:, None, :, None]
            inside = inside & _span(w, self.cutout, u[:, 4])[:, None, None, :]
            items = items.masked_fill(inside, 128)
        return items


def _span(n: int, share: float, u: Tensor) -> Tensor:
    """Whether each of n places lies in a random stretch of share * n: (B, n)."""
    length = max(round(share * n), 1)
    start = (u * (n - length + 1)).long()[:, None]
    places = torch.arange(n, device=u.device)
    return (places >= start) & (places < start + length)
