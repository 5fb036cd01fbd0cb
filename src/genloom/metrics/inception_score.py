"""The classifier score: confident and varied predictions score high.

Salimans et al. 2016 (arXiv:1606.03498), Section 4: exp(E KL(p(y|x) || p(y))). It is named IS only
with the Inception network. It never looks at real data: copies and blur within a class escape it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.estimate import GROUPS, Estimate, enough, finite, jackknife


def score(logits: Tensor) -> float:
    """Exp of the mean divergence between each prediction and their mean; logits: (n, classes)."""
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    log_mean = p.mean(0).clamp(min=torch.finfo(torch.float64).tiny).log()
    return float((p * (log_p - log_mean)).sum(1).mean().exp())


def classifier_score(logits: Tensor, *, id: str, name: str = "classifier_score") -> Estimate:
    """The score of samples with a jackknife interval; logits: (n, classes).

    Raises:
        Refused: Fewer than 100 samples, or logits that are not finite.
    """
    finite(name, logits)
    enough(name, len(logits), 100)
    value = score(logits)
    group = torch.arange(len(logits)) % GROUPS
    low, high = jackknife(value, [score(logits[group != g]) for g in range(GROUPS)])
    return Estimate(name, value, max(1.0, low), high, len(logits), id, "higher")
