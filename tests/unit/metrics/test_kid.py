"""KID: unbiased, standardised, with an interval that holds zero where it must."""

from __future__ import annotations

import pytest
import torch

from genloom.errors import Refused
from genloom.metrics.kid import kid, mmd


def draw(n, dims, seed, shift=0.0):
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(seed)).double() + shift


def brute(x, y):
    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    xy = sum(kernel(a, b) for a in x for b in y)
    return float(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))


def test_the_sum_over_all_pairs():
    x, y = draw(9, 4, 0), draw(7, 4, 1, 0.5)
    assert mmd(x, y) == pytest.approx(brute(x, y), rel=1e-10)


def test_groups_change_nothing_but_the_interval():
    x, y = draw(63, 4, 0), draw(57, 4, 1, 0.5)
    scale = y.square().mean(0).sqrt()
    assert kid(x, y, id="f").value == pytest.approx(mmd(x / scale, y / scale), rel=1e-10)


def test_the_unit_of_a_feature_does_not_matter():
    x, y, units = draw(100, 4, 0), draw(100, 4, 1, 0.5), torch.tensor([1, 1e3, 1e-3, 7]).double()
    assert kid(x * units, y * units, id="f").value == pytest.approx(kid(x, y, id="f").value)


def test_a_feature_that_is_always_zero_does_no_harm():
    x, y = draw(100, 4, 0), draw(100, 4, 1)
    x[:, 0] = y[:, 0] = 0
    assert kid(x, y, id="f").low < 0.1


def test_the_interval_holds_zero_for_the_same_distribution():
    hits, total = 0, 60
    for seed in range(total):
        found = kid(draw(80, 16, 2 * seed), draw(80, 16, 2 * seed + 1), id="f")
        hits += found.low <= 0 <= found.high
    assert hits / total >= 0.9


def test_the_mean_over_many_draws_is_zero():
    values = [kid(draw(60, 8, i), draw(60, 8, 9000 + i), id="f").value for i in range(60)]
    values = torch.tensor(values)
    assert abs(float(values.mean())) < 3 * float(values.std()) / 60**0.5


def test_a_shift_is_seen():
    assert kid(draw(150, 16, 0), draw(150, 16, 1, 0.4), id="f").low > 0


def test_too_few_are_refused():
    with pytest.raises(Refused, match="at least 50"):
        kid(draw(49, 4, 0), draw(500, 4, 1), id="f")
