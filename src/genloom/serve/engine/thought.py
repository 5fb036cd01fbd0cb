"""What a model thinks of tokens: their log-probabilities, beside those of the likeliest ones."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.core import Condition

READ = 256  # tokens whose likelihoods are held at once
LOGITS = 2**28  # of one scored prompt, at most: a GiB


def likely(nats: Tensor, tokens: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Of log-probabilities (k, V): those of tokens (k,), then the best, (k, 1 + j); these, (k, j).

    j is `top`, or V if that is less.
    """
    best = nats.topk(min(top, nats.shape[1]))
    return torch.cat([nats.gather(1, tokens[:, None]), best.values], -1).float(), best.indices


def passes(cond: Condition) -> int:
    """How often a prompt is read to be scored under conditions (n, ...): once if all are equal."""
    differ = (len(value) for value in cond.values() if bool((value != value[:1]).any()))
    return max(differ, default=1)


def scored(
    net: Any, start: int, tokens: Tensor, cond: Condition, top: int
) -> tuple[Tensor, Tensor]:
    """The same of a prompt, in a pass of its own over it, and if rows differ for each of them.

    Args:
        net: See `Autoregressive`.
        start: The start token.
        tokens: Of the prompt, (P,).
        cond: Name -> (n, ...).
        top: How many of the likeliest.

    Returns:
        (rows, P, 1 + j) and (rows, P, j), with one row where all conditions are equal, else n.
    """
    before = F.pad(tokens[None, :-1], (1, 0), value=start)
    found: list[tuple[Tensor, ...]] = []
    for i in range(passes(cond)):
        own = {name: value[i : i + 1].to(tokens.device) for name, value in cond.items()}
        parts = zip(net(before, own)[0].split(READ), tokens.split(READ), strict=True)
        told = [likely(logits.double().log_softmax(-1), some, top) for logits, some in parts]
        found.append(tuple(torch.cat(part) for part in zip(*told, strict=True)))
    nats, best = (torch.stack(part) for part in zip(*found, strict=True))
    return nats, best
