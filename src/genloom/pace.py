"""How the learning rate and the moving average follow from the length of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Schedule = Literal["constant", "linear", "cosine"]


def rate(schedule: Schedule, fraction: float, *, warmup: float, warmdown: float) -> float:
    """The share of the learning rate that holds at a fraction of the run, in (0, 1].

    Args:
        schedule: "constant"; "linear" falls to 2 % over the last `warmdown` of the run;
            "cosine" falls to 2 % over all that follows the warm-up.
        fraction: Of the run, in [0, 1).
        warmup: Share of the run with a linear rise.
        warmdown: Share of the run with the linear fall.
    """
    rise = min(1.0, fraction / warmup + 1e-3) if warmup > 0 else 1.0
    if schedule == "constant":
        return rise
    if schedule == "linear":
        left = min(1.0, (1 - fraction) / warmdown) if warmdown > 0 else 1.0
    else:
        done = max(0.0, fraction - warmup) / (1 - warmup)
        left = (1 + math.cos(math.pi * done)) / 2
    return rise * (0.02 + 0.98 * left)


def exponent(width: float) -> float:
    """The gamma of a power-function average whose relative width is `width`.

    Karras et al., 2024 (arXiv:2312.02696), Eq. 126:
    width = (gamma + 1)^(1/2) (gamma + 2)^(-1) (gamma + 3)^(-1/2), solved by bisection.
    """
    low, high = 0.0, 1e4  # the width falls as gamma grows
    for _ in range(100):
        gamma = (low + high) / 2
        reached = math.sqrt(gamma + 1) / (gamma + 2) / math.sqrt(gamma + 3)
        low, high = (gamma, high) if reached > width else (low, gamma)
    return (low + high) / 2


def average(
    means: Sequence[Tensor], values: Sequence[Tensor], step: int, gamma: float, since: int = 1
) -> None:
    """Move power-function averages towards the values of a step, in place.

    Karras et al., 2024 (arXiv:2312.02696), Eq. 127: beta = (1 - 1 / step)^(gamma + 1). The first
    step copies; no step remembers the initial weights, however short the run.

    Args:
        means: The averages.
        values: Of now.
        step: Steps that are done, 1 or more.
        gamma: Of `exponent`.
        since: Steps since the averages moved last, whose values now count for all of them.
    """
    beta = (1 - since / step) ** (gamma + 1)
    torch._foreach_lerp_(list(means), list(values), 1 - beta)
