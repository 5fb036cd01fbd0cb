"""The watermark of texts, put on while they are drawn (see `safety.marks.tokens`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from genloom.safety.marks.tokens import Green, biased


@final
@dataclass(frozen=True)
class TextMark:
    """A `decoding.rows.Bias` that favours the green tokens of a mark.

    Args:
        green: Key and parameters.
    """

    green: Green

    def __call__(self, logits: Tensor, previous: Tensor) -> Tensor:
        """Logits (n, V) and the last tokens (n, REACH), -1 for none -> logits."""
        full = (previous[:, -self.green.context :] >= 0).all(1, keepdim=True)
        return torch.where(full, biased(logits, previous, self.green), logits)

    def message(self) -> dict[str, Any]:
        """For `read`, in JSON's types. It holds the secret: it goes to a worker, nowhere else."""
        green = self.green
        return {
            "secret": green.secret.hex(),
            "gamma": green.gamma,
            "delta": green.delta,
            "context": green.context,
        }

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> TextMark:
        """The mark behind a message."""
        given = dict(message)
        return cls(Green(secret=bytes.fromhex(given.pop("secret")), **given))
