"""Diversity: are the samples as different from each other as the data are?"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.estimate import Estimate, enough, finite, jackknife, leave_out


def spread(rows: Tensor) -> float:
    """Mean Euclidean distance between two different rows of (n, D)."""
    return float(torch.pdist(rows.double()).mean())


def diversity(x: Tensor, y: Tensor, *, id: str) -> Estimate:
    """Mean pairwise distance of samples x (n, D) over that of held-out data y (m, D).

    1 is as diverse as the data; near 0 the samples are all alike; above 1 they are noisier.

    Raises:
        Refused: Fewer than 50 items on a side, features that are not finite, or data that are all
            the same.
    """
    finite("diversity", x, y)
    n = min(len(x), len(y))
    enough("diversity", n, 50)
    enough("diversity", int(spread(y) > 0) * n, 1, ": the held-out data are all alike")

    def ratio(a: Tensor, b: Tensor) -> float:
        return spread(a) / spread(b)

    value = ratio(x, y)
    low, high = jackknife(value, leave_out(ratio, x, y))
    return Estimate("diversity", value, max(0.0, low), high, n, id, "closer")


def vendi(rows: Tensor) -> float:
    """Effective number of different rows (Friedman and Dieng 2022, arXiv:2210.02410, Eq. 1).

    The kernel is the cosine; its eigenvalues are taken on the smaller side.
    """
    unit = torch.nn.functional.normalize(rows.double(), dim=1)
    gram = unit.T @ unit if len(unit) > unit.shape[1] else unit @ unit.T
    p = torch.linalg.eigvalsh(gram / len(unit)).clamp(min=0)
    p = p[p > 0]
    return float((-(p * p.log()).sum()).exp())


def class_kl(predicted: Tensor, reference: Tensor, classes: int, *, id: str) -> Estimate:
    """KL divergence in nats from the classes of the data to those of the samples.

    Half a count is added to each class (Krichevsky and Trofimov 1981), so that a missing class
    gives a large number and not infinity. The alarm for dropped modes.

    Args:
        predicted: Classes that a judge sees in the samples, (n,).
        reference: Classes that the same judge sees in held-out data, (m,).
        classes: How many there are.
        id: The judge's name and hash.

    Raises:
        Refused: Fewer than 10 items a class.
    """
    n = min(len(predicted), len(reference))
    enough("class_kl", n, 10 * classes, f" for {classes} classes")

    def divergence(a: Tensor, b: Tensor) -> float:
        q, p = _frequencies(a, classes), _frequencies(b, classes)
        return float((p * (p / q).log()).sum())

    value = divergence(predicted, reference)
    low, high = jackknife(value, leave_out(divergence, predicted, reference))
    return Estimate("class_kl", value, max(0.0, low), high, n, id, unit="nats")


def _frequencies(labels: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(labels, minlength=classes).double() + 0.5
    return counts / counts.sum()
