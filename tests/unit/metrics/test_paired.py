"""Measures beside the truth, each against an independent formula."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from genloom.core import Items
from genloom.errors import Refused
from genloom.metrics.extractor import Extractor
from genloom.metrics.paired import NEEDED, apart, bootstrap, decibels, paired


@pytest.fixture
def extractor():
    """Means of the channels as features."""
    items = Items("image", (3, 8, 8))
    return Extractor("means", "abc", items, 3, lambda x: x.float().mean((2, 3)) + 1, "mean")


def pictures(n=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, 8, 8), generator=generator, dtype=torch.uint8)


def found(*args):
    return {e.name: e for e in paired(*args)}


def test_numbers_are_those_of_the_formulas(extractor):
    made, true, plain = pictures(seed=1), pictures(seed=2), pictures(seed=3)
    seen = found(made, true, plain, extractor)
    for one, key in ((made, "value"), (plain, "trivial")):
        error = one.double() - true.double()
        square = error.square().mean((1, 2, 3))
        psnr = torch.tensor([10 * math.log10(255**2 / float(s)) for s in square])
        features = [extractor(x).double() for x in (one, true)]
        cosine = torch.cosine_similarity(*features)
        wanted = {
            "pixel_difference": error.abs().mean(),
            "psnr": psnr.mean(),
            "feature_distance[means]": (2 - 2 * cosine).mean(),
        }
        for name, value in wanted.items():
            assert getattr(seen[name], key) == pytest.approx(float(value), rel=1e-6), name
    assert [e.better for e in seen.values()] == ["lower", "higher", "lower"]
    assert all(e.low < e.value < e.high and e.n == 20 for e in seen.values())


def test_the_truth_is_best(extractor):
    true = pictures()
    seen = found(true, true, pictures(seed=1), extractor)
    assert seen["pixel_difference"].value == seen["feature_distance[means]"].value == 0
    assert seen["psnr"].value == pytest.approx(10 * math.log10(255**2 * 12))


def test_in_a_hole_nothing_else_counts(extractor):
    made, true, plain = pictures(seed=1), pictures(seed=2), pictures(seed=3)
    hole = torch.zeros(20, 1, 8, 8, dtype=torch.bool)
    hole[:, :, 2:5, :3] = True
    seen = found(made, true, plain, extractor, hole)
    error = (made.double() - true.double())[..., 2:5, :3]
    assert seen["pixel_difference"].value == pytest.approx(float(error.abs().mean()))
    other = torch.where(hole, made, plain)
    assert found(other, true, plain, extractor, hole) == seen


def test_the_interval_is_near_that_of_students_t():
    values = torch.randn(200, generator=torch.Generator().manual_seed(0)).double()
    low, high = bootstrap(values)
    mean, error = float(values.mean()), float(values.std()) / math.sqrt(200)
    wanted = stats.t.interval(0.95, 199, mean, error)
    assert (low, high) == pytest.approx(wanted, abs=0.15 * error)


def test_distance_of_features_ignores_their_length():
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0, 5.0], [3.0, 3.0]])
    assert apart(x, y).tolist() == pytest.approx([2.0, 0.0])
    assert apart(x, -x).tolist() == pytest.approx([4.0, 4.0])


def test_decibels_of_one_step():
    assert float(decibels(torch.tensor([1.0], dtype=torch.double))) == pytest.approx(
        48.1308, abs=1e-4
    )


def test_too_few_pairs_are_refused(extractor):
    few = pictures(NEEDED - 1)
    with pytest.raises(Refused, match="pairs needs at least"):
        paired(few, few, few, extractor)
