"""KID: the unbiased squared maximum mean discrepancy with a cubic kernel.

Binkowski et al. 2018 (arXiv:1801.01401), Eq. 4; k(x, y) = (x.y / D + 1)^3. Features are first
divided by the root mean square of the reference, dimension by dimension: without that one large
feature decides alone. All pairs are used; groups of items are left out in turn for the interval.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.estimate import GROUPS, Estimate, enough, finite, jackknife


def mmd(x: Tensor, y: Tensor) -> float:
    """Unbiased squared MMD of the raw features (n, D), (m, D): the convention of other toolkits."""
    return _unbiased(*_sums(x.double(), y.double(), 1), len(x), len(y))


def kid(x: Tensor, y: Tensor, *, id: str) -> Estimate:
    """KID of samples x (n, D) against held-out data y (m, D), in units of the kernel.

    Raises:
        Refused: Fewer than 50 items on a side, or features that are not finite.
    """
    finite("kid", x, y)
    n = min(len(x), len(y))
    enough("kid", n, 50)
    scale = y.double().square().mean(0).sqrt()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    x, y = x.double() / scale, y.double() / scale
    xx, yy, xy = _sums(x, y, GROUPS)
    value = _unbiased(xx, yy, xy, len(x), len(y))
    left_out = [_without(xx, yy, xy, len(x), len(y), g) for g in range(GROUPS)]
    low, high = jackknife(value, left_out)
    return Estimate("kid", value, low, high, n, f"{id}; per-dimension rms 1; cubic kernel")


def _sums(x: Tensor, y: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Kernel sums between groups of rows, (groups, groups), without i = j; in small pieces."""
    dims = x.shape[1]
    sums = torch.zeros(3, groups, groups, dtype=torch.float64)
    xs, ys = [x[g::groups] for g in range(groups)], [y[g::groups] for g in range(groups)]
    for g in range(groups):
        for kind, (left, right) in enumerate(((xs[g], x), (ys[g], y), (xs[g], y))):
            columns = (left @ right.T / dims + 1).pow(3).sum(0)
            for h in range(groups):
                sums[kind, g, h] = columns[h::groups].sum()
        for kind, rows in ((0, xs[g]), (1, ys[g])):
            sums[kind, g, g] -= (rows.square().sum(1) / dims + 1).pow(3).sum()
    return sums[0], sums[1], sums[2]


def _unbiased(xx: Tensor, yy: Tensor, xy: Tensor, n: int, m: int) -> float:
    return float(xx.sum() / (n * (n - 1)) + yy.sum() / (m * (m - 1)) - 2 * xy.sum() / (n * m))


def _without(xx: Tensor, yy: Tensor, xy: Tensor, n: int, m: int, g: int) -> float:
    kept = torch.arange(len(xx)) != g
    n -= len(range(g, n, len(xx)))
    m -= len(range(g, m, len(xx)))
    return _unbiased(xx[kept][:, kept], yy[kept][:, kept], xy[kept][:, kept], n, m)
