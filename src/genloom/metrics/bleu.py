"""Self-BLEU: how much the items of a set are like each other; near 1 they are all alike.

Zhu et al., Texygen: a benchmarking platform for text generation models, 2018 (arXiv:1802.01886):
the mean BLEU of each item with all others as references. BLEU is that of Papineni et al., 2002,
with runs of 1 to 4; where none of a length is shared, a tenth of one is counted, which is method 1
of Chen and Cherry, 2014, as theirs. Tokens are the ids of the lexicon, without the end.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.estimate import Estimate, enough, mean_interval
from genloom.metrics.text import grams

RUNS = 4
NONE_SHARED = 0.1


def self_bleu(items: Tensor, end: int | None = None, *, id: str = "ids") -> Estimate:
    """The mean over items (n, L), with its interval for other items beside the same references.

    It rises with n, so compare it with its floor at the same n.
    """
    enough("self_bleu", len(items), 30)
    value, low, high = mean_interval(scores(items, end))
    name = f"{id}; BLEU-{RUNS}, {NONE_SHARED} where none is shared"
    return Estimate("self_bleu", value, max(0.0, low), min(1.0, high), len(items), name, "closer")


def scores(items: Tensor, end: int | None = None) -> Tensor:
    """BLEU of each item with the others as references, (n,) float64."""
    lengths = torch.full((len(items),), items.shape[1])
    if end is not None:
        lengths = (items != end).long().cumprod(1).sum(1)
    shared = torch.stack([_shared(items, lengths, k) for k in range(1, RUNS + 1)])
    runs = torch.stack([(lengths - k).clamp(min=1) for k in range(RUNS)])
    precision = torch.where(shared > 0, shared, NONE_SHARED) / runs
    bleu = _brevity(lengths) * precision.log().mean(0).exp()
    return torch.where(shared[0] > 0, bleu, 0.0)


def _shared(items: Tensor, lengths: Tensor, k: int) -> Tensor:
    """How many runs of k ids of each item (n, L) other items have as well, (n,) float64.

    A run counts at most as often as the one other item has it that has it most often.
    """
    n, k_runs = len(items), items.shape[1] - k + 1
    if k_runs < 1:
        return torch.zeros(n, dtype=torch.float64)
    known = torch.arange(k_runs) + k <= lengths[:, None]
    item = torch.arange(n)[:, None].expand(known.shape)[known]
    run = grams(items, k)[known].unique(return_inverse=True)[1]
    pair, count = (run * n + item).unique(return_counts=True)
    order = (pair // n * (items.shape[1] + 1) - count).argsort()  # in each run the greatest first
    run, item, count = (x[order] for x in (pair // n, pair % n, count))
    first = torch.searchsorted(run, run)
    after = (first + 1).clamp(max=len(run) - 1)
    second = torch.where((run[after] == run) & (after > first), count[after], 0)
    others = torch.where(torch.arange(len(run)) == first, second, count[first])
    found = torch.minimum(count, others).double()
    return torch.zeros(n, dtype=torch.float64).scatter_add_(0, item, found)


def _brevity(lengths: Tensor) -> Tensor:
    """The penalty of each for being shorter than the other that is nearest in length, (n,).

    Of two that are equally near the shorter one counts, which is the first.
    """
    known, inverse, count = lengths.unique(return_inverse=True, return_counts=True)
    away = (known - known[:, None]).abs()
    away[torch.arange(len(known)), torch.arange(len(known))] = torch.where(
        count > 1, 0, away.new_tensor(torch.iinfo(torch.int64).max)
    )
    nearest = known[away.argmin(1)].double()
    short = (1 - nearest / known.clamp(min=1)).clamp(max=0)
    return short.exp()[inverse]
