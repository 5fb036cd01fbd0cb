"""Which of the likely tokens may be drawn, and drawing one of them.

The filters (temperature, then top-k, top-p and min-p) are a pure function of (B, V) logits; what
is ruled out becomes -inf, and at least one token stays.
"""

from __future__ import annotations

import torch
from torch import Tensor


def drawn(logits: Tensor, u: Tensor) -> Tensor:
    """Tokens (n,) by the inverse distribution function, in float64.

    Args:
        logits: (n, V).
        u: Uniform in [0, 1), (n, 1).
    """
    cdf = logits.double().softmax(-1).cumsum(-1)
    return (cdf <= u * cdf[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1)


def narrowed(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Tensor:
    """Logits of the distribution to draw from, float64, each filter applied to the last one's.

    Args:
        logits: (B, V).
        temperature: Divides the logits; 0 leaves the most likely token alone.
        top_k: Keeps the k most likely; 0 keeps all. Fan et al., 2018 (arXiv:1805.04833), 5.4.
        top_p: Keeps the fewest tokens whose mass is at least p. Holtzman et al., 2020
            (arXiv:1904.09751), section 3.1.
        min_p: Keeps tokens of at least min_p times the largest probability. Nguyen et al., 2024
            (arXiv:2407.01082), section 3.

    Among equally likely tokens the one with the smaller number is kept first.
    """
    logits = logits.double()
    if temperature == 0:
        return _keep_first(logits, torch.ones_like(logits[:, :1], dtype=torch.long))
    logits = (logits - logits.amax(-1, keepdim=True)) / temperature  # finite or -inf, never NaN
    if 0 < top_k < logits.shape[-1]:
        logits = _keep_first(logits, torch.full_like(logits[:, :1], top_k, dtype=torch.long))
    if top_p < 1:
        mass = torch.sort(logits, descending=True, stable=True).values.softmax(-1).cumsum(-1)
        # a token stays while the mass before it is below p
        logits = _keep_first(logits, 1 + (mass[:, :-1] < top_p).sum(-1, keepdim=True))
    if min_p > 0:
        p = logits.softmax(-1)
        logits = logits.masked_fill(p < min_p * p.amax(-1, keepdim=True), -torch.inf)
    return logits


def _keep_first(logits: Tensor, counts: Tensor) -> Tensor:
    """Rule out all but the counts (B, 1) most likely tokens of each row."""
    order = torch.sort(logits, descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(
        -1, order, torch.arange(logits.shape[-1], device=logits.device).expand_as(order)
    )
    return logits.masked_fill(rank >= counts, -torch.inf)
