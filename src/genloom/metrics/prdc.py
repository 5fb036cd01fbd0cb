"""Precision, recall, density and coverage: what is plausible, and what is missing.

Kynkaanniemi et al. 2019 (arXiv:1904.06991), Eq. 1-2; Naeem et al. 2020 (arXiv:2002.09797), Eq. 2-4.
A ball around each item reaches to its k-th nearest neighbour in its own set.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.estimate import Estimate, enough, finite, mean_interval, wilson


def prdc(x: Tensor, y: Tensor, *, id: str, k: int = 5) -> list[Estimate]:
    """Precision, recall, density, coverage of samples x (n, D) against held-out data y (m, D).

    The intervals are those of the items that are counted, given the other side's balls.

    Raises:
        Refused: Fewer than 100 items on a side, or features that are not finite.
    """
    finite("prdc", x, y)
    n = min(len(x), len(y))
    enough(
        "precision and coverage", n, max(100, 10 * k), ", for their balls grow as items thin out"
    )
    x, y = x.double(), y.double()
    between = torch.cdist(y, x)  # (m, n)
    real_radii, fake_radii = _radii(y, k), _radii(x, k)
    inside = between < real_radii[:, None]
    id = f"{id}; k={k}"
    density = mean_interval(inside.sum(0) / k)
    return [
        _share("precision", inside.any(0), n, id),
        _share("recall", (between < fake_radii[None]).any(1), n, id),
        Estimate("density", density[0], max(0.0, density[1]), density[2], n, id, "closer"),
        _share("coverage", between.min(1).values < real_radii, n, id),
    ]


def _radii(rows: Tensor, k: int) -> Tensor:
    """Distance to the k-th nearest other row, (n,)."""
    return torch.cdist(rows, rows).kthvalue(k + 1, 1).values


def _share(name: str, hits: Tensor, n: int, id: str) -> Estimate:
    count = int(hits.sum())
    low, high = wilson(count, len(hits))
    return Estimate(name, count / len(hits), low, high, n, id, "higher")
