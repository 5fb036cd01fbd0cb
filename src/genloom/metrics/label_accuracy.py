"""Label accuracy: does a judge that no model has seen recognise the class that was asked for?"""

from __future__ import annotations

from torch import Tensor

from genloom.errors import BadInput
from genloom.metrics.estimate import Estimate, enough, wilson


def label_accuracy(logits: Tensor, labels: Tensor, *, id: str) -> Estimate:
    """Share of samples whose class the judge agrees with.

    Args:
        logits: The judge's, (n, classes).
        labels: The classes that were asked for, (n,); all of them known.
        id: The judge's name and hash.

    Raises:
        Refused: Fewer than 50 samples.
    """
    if bool((labels < 0).any()):
        raise BadInput(f"{int((labels < 0).sum())} labels are hidden (-1): leave those rows out.")
    enough("label_accuracy", len(labels), 50)
    right = int((logits.argmax(1) == labels).sum())
    low, high = wilson(right, len(labels))
    return Estimate("label_accuracy", right / len(labels), low, high, len(labels), id, "higher")
