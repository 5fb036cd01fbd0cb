"""Intervals, exact tests, and the refusal of NaN."""

from __future__ import annotations

import math

import pytest
import torch

from genloom.errors import Refused
from genloom.metrics.estimate import (
    Estimate,
    binomial_tail,
    enough,
    finite,
    fisher_greater,
    jackknife,
    leave_out,
    mean_interval,
    t_quantile,
    wilson,
)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_estimate_is_never_nan(value):
    with pytest.raises(Refused, match="kid is not finite"):
        Estimate("kid", value, 0, 1, 10, "x")
    with pytest.raises(Refused, match="kid is not finite"):
        Estimate("kid", 0, 0, 1, 10, "x", floor=value)


def test_too_few_items_are_refused_with_the_number_needed():
    with pytest.raises(Refused, match="kid needs at least 50 items a side, not 49"):
        enough("kid", 49, 50)
    enough("kid", 50, 50)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(Refused, match="1 features are not finite"):
        finite("kid", torch.tensor([[0.0, math.nan]]))


def test_known_quantiles_and_tails():
    assert t_quantile(1) == pytest.approx(12.7062, abs=1e-4)
    assert t_quantile(19) == pytest.approx(2.0930, abs=1e-4)
    assert t_quantile(10**6) == pytest.approx(1.95996, abs=1e-4)
    assert binomial_tail(5, 5) == pytest.approx(1 / 32)
    assert binomial_tail(0, 5) == 1
    assert fisher_greater(3, 3, 0, 3) == pytest.approx(1 / 20)
    assert fisher_greater(0, 3, 2, 3) == pytest.approx(1)
    assert wilson(0, 100)[0] == 0 and wilson(100, 100)[1] == pytest.approx(1)
    assert wilson(0, 160)[0] == 0 and wilson(160, 160)[1] == 1  # to the last bit


def test_the_jackknife_of_a_mean_is_the_interval_of_a_mean():
    """With as many groups as values, the jackknife is exact for a mean."""
    x = torch.randn(40)

    def mean(a, _):
        return float(a.double().mean())

    low, high = jackknife(mean(x, x), leave_out(mean, x, x, 40))
    assert (low, high) == pytest.approx(mean_interval(x)[1:], rel=1e-6)


def test_an_interval_of_a_mean_holds_it_19_times_in_20():
    hits = 0
    for seed in range(400):
        values = torch.randn(12, generator=torch.Generator().manual_seed(seed))
        _, low, high = mean_interval(values)
        hits += low < 0 < high
    assert 0.92 < hits / 400 < 0.98
