"""Frechet distance between two feature sets, without scipy's matrix root.

The distance between two Gaussians (Dowson and Landau 1982, Eq. 4; on features: Heusel et al. 2017,
arXiv:1706.08500, Eq. 6) needs tr((S1 S2)^1/2). With S1 = L L^T that is the sum of the square roots
of the eigenvalues of the symmetric L^T S2 L. With fewer samples than dimensions, S1 = A^T A and
S2 = B^T B for the centred samples A and B, and it is the sum of the singular values of A B^T: no
covariance is built.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.estimate import Estimate, enough, finite, jackknife, leave_out


class Moments:
    """Mean and covariance of rows that come in batches, in float64 (Chan et al. 1979)."""

    def __init__(self, dims: int):
        self.n = 0
        self.mean = torch.zeros(dims, dtype=torch.float64)
        self.scatter = torch.zeros(dims, dims, dtype=torch.float64)

    def update(self, rows: Tensor) -> Moments:
        """Add rows (n, dims)."""
        rows = rows.double()
        added = len(rows)
        mean = rows.mean(0)
        centred = rows - mean
        delta = mean - self.mean
        total = self.n + added
        self.scatter.addmm_(centred.T, centred)
        self.scatter.add_(torch.outer(delta, delta), alpha=self.n * added / total)
        self.mean = self.mean + delta * (added / total)
        self.n = total
        return self

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance, (dims, dims)."""
        return self.scatter / (self.n - 1)


def distance(x: Tensor, y: Tensor) -> float:
    """Squared Frechet distance of feature sets (n, D) and (m, D); any n and m from 2.

    It is biased upwards by about c/n: `frechet` refuses small sets, this does not.
    """
    x, y = x.double(), y.double()
    if min(len(x), len(y)) > x.shape[1]:
        return distance_of(Moments(x.shape[1]).update(x), Moments(x.shape[1]).update(y))
    a = (x - x.mean(0)) / (len(x) - 1) ** 0.5
    b = (y - y.mean(0)) / (len(y) - 1) ** 0.5
    root = _singular_sum(a, b)
    gap = (x.mean(0) - y.mean(0)).square().sum()
    return max(0.0, float(gap + a.square().sum() + b.square().sum() - 2 * root))


def distance_of(one: Moments, two: Moments) -> float:
    """Squared Frechet distance of two Gaussians given by their moments."""
    s1, s2 = one.covariance, two.covariance
    factor, failed = torch.linalg.cholesky_ex(s1)
    if failed:  # singular: some features do not vary
        root = _singular_sum(_root(s1), _root(s2))
    else:
        eigenvalues = torch.linalg.eigvalsh(factor.T @ s2 @ factor)
        root = eigenvalues.clamp(min=0).sqrt().sum()
    gap = (one.mean - two.mean).square().sum()
    return max(0.0, float(gap + s1.trace() + s2.trace() - 2 * root))


def _root(covariance: Tensor) -> Tensor:
    """R with R^T R = covariance, by its eigenvectors."""
    values, vectors = torch.linalg.eigh(covariance)
    return values.clamp(min=0).sqrt()[:, None] * vectors.T


def _singular_sum(a: Tensor, b: Tensor) -> Tensor:
    """Sum of the singular values of a b^T, which is tr((a^T a b^T b)^1/2)."""
    return torch.linalg.svdvals(a @ b.T).sum()


def frechet(x: Tensor, y: Tensor, *, id: str, name: str = "frechet") -> Estimate:
    """Frechet distance with a jackknife interval.

    Args:
        x: Features of samples, (n, D).
        y: Features of held-out data, (m, D).
        id: The features' name and hash.
        name: "FID" with Inception features, and only then.

    Raises:
        Refused: Fewer than twice as many items as dimensions, or features that are not finite.
    """
    n, dims = min(len(x), len(y)), x.shape[1]
    finite(name, x, y)
    enough(name, n, max(100, 2 * dims), f" in {dims} dimensions, for it is biased upwards")
    value = distance(x, y)
    groups = 20 if dims <= 256 else 5
    low, high = jackknife(value, leave_out(distance, x, y, groups))
    return Estimate(name, value, max(0.0, low), high, n, id)
