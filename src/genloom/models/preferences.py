"""Direct preference optimization: a model learns which of two answers to a prompt is preferred.

Rafailov et al., 2023 (arXiv:2305.18290), Eq. 7. The implicit reward of an answer is beta times the
logarithm of how much likelier it has become than under a frozen reference; a pair costs what
logistic regression on the difference of its two rewards costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def margins(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Implicit reward of each chosen answer less that of the rejected one, (B,).

    Args:
        policy: Log-probabilities of the answers in nats, (2, B): the chosen ones, then the others.
        reference: The same of the model that training began with.
        beta: How dear it is to move away from the reference.
    """
    chosen, rejected = beta * (policy - reference)
    return chosen - rejected


def loss(margins: Tensor) -> Tensor:
    """Nats that the preferences cost, (B,) -> (); log 2 where nothing is preferred."""
    return -F.logsigmoid(margins).mean()


def vitals(margins: Tensor) -> dict[str, Tensor]:
    """The mean margin of a batch, and the share of its pairs that have one above 0."""
    told = margins.detach()
    return {"reward_margin": told.mean(), "reward_accuracy": (told > 0).float().mean()}


@final
class Reference:
    """A frozen net beside the one that learns, read when it is first asked for.

    It is in no `state_dict`, and copies of its owner share it: the moving average needs no second.
    """

    def __init__(self) -> None:
        self._net: nn.Module | None = None

    def __deepcopy__(self, memo: Any) -> Reference:
        return self

    def net(self, read: Callable[[], nn.Module], device: torch.device) -> nn.Module:
        """The net that `read` gives, on a device, without dropout."""
        if self._net is None:
            self._net = read().eval().requires_grad_(False)
        return self._net.to(device)
