"""Classifier two-sample test: can a classifier tell samples from held-out data?

Lopez-Paz and Oquab 2017 (arXiv:1610.06545), Section 3. Half of the items of each side train a
logistic regression, the other half is classified, so under the null hypothesis the number of right
answers is binomial and the p-value is exact. The regression sees the features, their squares and
Gaussian bumps around some training items, so that it tells more than means apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genloom.metrics.estimate import Estimate, binomial_tail, enough, finite, wilson

BUMPS = 32


def two_sample(x: Tensor, y: Tensor, *, id: str) -> tuple[Estimate, float]:
    """Held-out accuracy of telling samples x (n, D) from data y (n, D), and its p-value.

    0.5 is as good as the data; 1 is always told apart.

    Raises:
        Refused: Fewer than 100 items on a side, or features that are not finite.
    """
    finite("two_sample", x, y)
    n = min(len(x), len(y))
    enough("two_sample", n, 100)
    x, y = x[:n].double(), y[:n].double()
    seen, kept = torch.cat((x[::2], y[::2])), torch.cat((x[1::2], y[1::2]))
    wanted, truth = _labels(len(x[::2])), _labels(len(x[1::2]))
    lift = _lift(seen)
    weights = _regress(lift(seen), wanted)
    right = int(((lift(kept) @ weights > 0) == (truth > 0.5)).sum())
    total = len(kept)
    low, high = wilson(right, total)
    name = f"{id}; logistic regression on features, squares and {BUMPS} bumps; half held out"
    return Estimate("two_sample", right / total, low, high, n, name), binomial_tail(right, total)


def _labels(n: int) -> Tensor:
    return torch.cat((torch.ones(n), torch.zeros(n))).double()


def _lift(seen: Tensor):
    """The map from features to what the regression sees, fitted on its training half."""
    centre, scale = seen.mean(0), seen.std(0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    stride = max(1, len(seen) // BUMPS)
    landmarks = ((seen - centre) / scale)[::stride][:BUMPS]
    distances = torch.pdist(landmarks)
    width = distances.median() if bool((distances > 0).any()) else torch.tensor(1.0).double()
    width = width.clamp(min=1e-6)

    def lift(rows: Tensor) -> Tensor:
        z = ((rows - centre) / scale).clamp(-10, 10)
        bumps = (-(torch.cdist(z, landmarks) / width).square()).exp()
        return torch.cat((torch.ones(len(z), 1).double(), z, z.square() - 1, bumps), 1)

    return lift


def _regress(x: Tensor, wanted: Tensor, penalty: float = 1.0, steps: int = 12) -> Tensor:
    """Ridge logistic regression by Newton's method; x: (n, K), wanted: (n,) in {0, 1}."""
    weights = torch.zeros(x.shape[1], dtype=torch.float64)
    ridge = penalty * torch.eye(x.shape[1], dtype=torch.float64)
    ridge[0, 0] = 1e-6  # the constant is not shrunk
    for _ in range(steps):
        p = (x @ weights).sigmoid()
        gradient = x.T @ (p - wanted) + ridge @ weights
        hessian = (x * (p * (1 - p)).clamp(min=1e-6)[:, None]).T @ x + ridge
        step = torch.linalg.solve(hessian, gradient)
        weights = weights - step * min(1.0, 5.0 / max(float(step.norm()), 1e-12))
    return weights
