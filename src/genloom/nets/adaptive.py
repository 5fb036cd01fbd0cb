"""Augmentation with a probability that follows how far the discriminator overfits.

Karras et al., 2020 (arXiv:2006.06676), section 3, over the transforms of `diffaug`.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from genloom.core import Step
from genloom.nets.diffaug import Augment, augment

EVERY = 4  # updates from one move of p to the next
CLIMB = 0.1  # share of a run in which p can go from 0 to 1
MOST = 0.8  # beyond it, augmentation begins to show in the samples (section 2.2 there)


@final
class Adaptive(nn.Module):
    """Transforms each row with probability p, independently for each transform.

    Deviation: the paper lets p go from 0 to 1 over 500,000 images, a fiftieth of its runs and all
    of a short one; here it takes a tenth of the run.

    Args:
        kind: Which transforms.
        target: Of the mean sign of the discriminator on data (r_t there).
    """

    p: Tensor

    def __init__(self, kind: Augment, target: float):
        super().__init__()
        self.kind: Augment = kind
        self.target = target
        self.register_buffer("p", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        return augment(x, self.kind, self.p)

    def follow(self, sign: Tensor, step: Step) -> None:
        """Move p up where the mean sign is above the target, else down."""
        stride = EVERY / max(CLIMB * step.total, EVERY)
        self.p += stride * torch.sign(sign - self.target)
        self.p.clamp_(0, MOST)
