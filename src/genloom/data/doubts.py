"""What a person should hear of sound data before a model learns from them."""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.data.dataset import Dataset

UNEVEN = 10.0
"""How many times wider than another a column may spread before somebody is told."""


def doubts(dataset: Dataset) -> list[str]:
    """One line each, from the packed data; none where there is nothing to say."""
    found = uneven(dataset.train.items) if dataset.items.kind == "points" else []
    return found + unheld(len(dataset.valid))


def uneven(points: Tensor) -> list[str]:
    """Whether columns of points (N, D) differ in scale, which no codec takes away.

    Losses and measures add columns up, so the narrow ones hardly count.
    """
    std = points.double().std(0, correction=0)
    spread = (std > 0).nonzero()[:, 0]
    if not len(spread):
        return []
    low, high = (int(spread[find(std[spread])]) for find in (torch.argmin, torch.argmax))
    ratio = float(std[high] / std[low])
    if ratio <= UNEVEN:
        return []
    return [
        f"columns differ in scale: x{high} spreads {ratio:.0f} times as wide as x{low}. Models and "
        "measures take them as they are: standardise each column first"
    ]


def unheld(valid: int) -> list[str]:
    """Whether nothing is held out to choose by, of this many items of the validation part."""
    if valid:
        return []
    return ["there is no validation part (valid: 0): nothing unseen is watched while it trains"]
