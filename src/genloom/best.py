"""The best weights of a run, where they are not the last ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

from torch import Tensor, nn


@final
@dataclass
class Best:
    """The weights of a run that were best on held-out data, to sample from.

    Args:
        step: When.
        loss: The held-out loss there.
        weights: None yet: {}.
    """

    step: int = 0
    loss: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, step: int, loss: float, model: nn.Module) -> None:
        """Keep these if they are better."""
        if loss < self.loss:
            weights = {name: v.detach().clone() for name, v in model.state_dict().items()}
            self.step, self.loss, self.weights = step, loss, weights
