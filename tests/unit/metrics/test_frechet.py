"""The Frechet distance: known cases, both forms, streaming, refusals."""

from __future__ import annotations

import pytest
import torch

from genloom.errors import Refused
from genloom.metrics.frechet import Moments, distance, distance_of, frechet


def features(n, dims, seed, shift=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dims, dims, generator=torch.Generator().manual_seed(99)).double()
    return torch.randn(n, dims, generator=generator).double() @ mix * scale + shift


def test_a_shift_costs_its_square():
    x = features(300, 8, 0)
    assert distance(x, x) == pytest.approx(0, abs=1e-9)
    assert distance(x, x + 2) == pytest.approx(8 * 4, rel=1e-9)


def test_a_scale_costs_the_square_of_the_deviations():
    x = features(300, 8, 0)
    x = x - x.mean(0)
    assert distance(x, 3 * x) == pytest.approx(4 * float(x.T.cov().trace()), rel=1e-9)


@pytest.mark.parametrize("n", [10, 32, 33, 200])
def test_both_forms_agree(n):
    """Few samples take the singular values of the cross-Gram, many the eigenvalues."""
    x, y = features(n, 32, 1), features(n, 32, 2, 0.3, 1.2)
    through_moments = distance_of(Moments(32).update(x), Moments(32).update(y))
    assert distance(x, y) == pytest.approx(through_moments, rel=1e-6)


def test_a_feature_that_never_varies_does_no_harm():
    x, y = features(200, 8, 1), features(200, 8, 2, 0.3)
    padded = [torch.cat((z, torch.ones(200, 3).double()), 1) for z in (x, y)]
    assert distance(*padded) == pytest.approx(distance(x, y), rel=1e-6)


def test_moments_stream():
    x = features(250, 16, 3, shift=1000.0)
    whole, parts = Moments(16).update(x), Moments(16)
    for part in x.split(37):
        parts.update(part)
    assert torch.allclose(parts.mean, whole.mean, rtol=1e-12)
    assert torch.allclose(parts.covariance, x.T.cov(), rtol=1e-9, atol=1e-9)


def test_too_few_samples_are_refused_with_the_number_needed():
    with pytest.raises(Refused, match="needs at least 128 items a side, not 127 in 64 dim"):
        frechet(features(127, 64, 0), features(300, 64, 1), id="f")
    assert frechet(features(128, 64, 0), features(128, 64, 1), id="f").n == 128


def test_the_interval_is_as_wide_as_the_spread_over_draws():
    found = [
        frechet(features(400, 4, 2 * i), features(400, 4, 2 * i + 1, 2.0), id="f")
        for i in range(40)
    ]
    spread = float(torch.tensor([f.value for f in found]).std())
    half = float(torch.tensor([(f.high - f.low) / 2 for f in found]).mean())
    assert 1.4 < half / spread < 3.2  # 2.1 expected
