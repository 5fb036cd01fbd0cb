"""Differentiable augmentation for discriminators: Zhao et al., 2020 (arXiv:2006.10738), section 3.

Each row draws its own translation (up to an eighth of the size, zeros move in) and its own
rectangle of half the size that is cut out (set to zero). Draws come from `core.uniform`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from genloom.core import like, uniform

Augment = Literal["none", "translation", "translation+cutout"]


def translate(x: Tensor, *, share: float = 0.125) -> Tensor:
    """Shift each row of (B, C, H, W) by whole pixels along both axes."""
    shift = uniform(len(x), 2, device=x.device)
    for axis in (0, 1):
        size = x.shape[2 + axis]
        reach = int(size * share + 0.5)
        offset = (shift[:, axis] * (2 * reach + 1)).floor().long() - reach
        place = torch.arange(size, device=x.device) + offset[:, None]  # (B, size)
        inside = (place >= 0) & (place < size)
        view = (len(x), 1, size, 1) if axis == 0 else (len(x), 1, 1, size)
        index = place.clamp(0, size - 1).view(view).expand(x.shape)
        x = x.gather(2 + axis, index) * inside.view(view)
    return x


def cutout(x: Tensor, *, share: float = 0.5) -> Tensor:
    """Set a rectangle of `share` of each side to zero, its centre anywhere; (B, C, H, W)."""
    centre = uniform(len(x), 2, device=x.device)
    cut = torch.ones(len(x), 1, 1, 1, dtype=torch.bool, device=x.device)
    for axis in (0, 1):
        size = x.shape[2 + axis]
        view = (len(x), 1, size, 1) if axis == 0 else (len(x), 1, 1, size)
        distance = torch.arange(size, device=x.device) + 0.5 - size * centre[:, axis, None]
        near = (distance.abs() <= share * size / 2).view(view)
        cut = cut & near
    return x * ~cut


TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "translation": translate,
    "cutout": cutout,
}


def augment(x: Tensor, kind: Augment, p: Tensor | None = None) -> Tensor:
    """Real and generated rows alike, before the discriminator; "none" returns x itself.

    Args:
        x: (B, C, H, W).
        kind: Which transforms, joined by "+".
        p: Probability of each transform for each row; None: always.
    """
    for name in kind.split("+"):
        if p is None:
            x = TRANSFORMS[name](x)
        else:
            chosen = like(uniform(len(x), device=x.device) < p, x)
            x = torch.where(chosen, TRANSFORMS[name](x), x)
    return x
