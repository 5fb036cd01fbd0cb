"""Measures beside the truth, each against an independent formula."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from genloom.core import Items
from genloom.errors import Refused
from genloom.metrics.extractor import Extractor
from genloom.metrics.paired import (
    NEEDED,
    apart,
    bootstrap,
    chroma,
    colours_apart,
    decibels,
    paired,
)


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
            "colour_difference": (chroma(one) - chroma(true)).square().sum(1).sqrt().mean(),
        }
        for name, value in wanted.items():
            assert getattr(seen[name], key) == pytest.approx(float(value), rel=1e-6), name
    assert [e.better for e in seen.values()] == ["lower", "higher", "lower", "lower"]
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
    hues = (chroma(made) - chroma(true))[..., 2:5, :3].norm(dim=1)
    assert seen["colour_difference"].value == pytest.approx(float(hues.mean()))
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


# sRGB and a, b under D65, as calculators of CIE Lab print them (brucelindbloom.com).
PUBLISHED = {
    (255, 0, 0): (80.0925, 67.2032),
    (0, 255, 0): (-86.1827, 83.1793),
    (0, 0, 255): (79.1875, -107.8602),
    (255, 255, 0): (-21.5537, 94.4780),
    (0, 255, 255): (-48.0875, -14.1312),
    (255, 0, 255): (98.2343, -60.8249),
    (128, 128, 0): (-12.93, 56.67),
    (0, 128, 128): (-28.85, -8.48),
    (255, 255, 255): (0.0, 0.0),
    (128, 128, 128): (0.0, 0.0),
    (0, 0, 0): (0.0, 0.0),
}


@pytest.mark.parametrize(("rgb", "wanted"), PUBLISHED.items())
def test_colours_are_the_published_ones(rgb, wanted):
    picture = torch.tensor(rgb, dtype=torch.uint8).view(1, 3, 1, 1)
    assert chroma(picture).flatten().tolist() == pytest.approx(wanted, abs=6e-3)


def test_dark_colours_follow_the_lines():
    """Below 10 of 255 sRGB is linear, and below the knee so is Lab: a = 500 * 7.787 * (X - Y)."""
    dark, none = (torch.full((1, 3, 1, 1), v, dtype=torch.uint8) for v in (0, 0))
    dark[0, 0] = 9
    x, y = 0.4124564 / 0.95047, 0.2126729
    wanted = 500 * 7.787037 * (x - y) * 9 / 255 / 12.92
    assert float(chroma(dark)[0, 0]) == pytest.approx(wanted, rel=1e-4)
    assert chroma(none).abs().max() < 1e-9


def test_lightness_alone_is_no_difference_of_colour():
    shades = torch.arange(0, 256, 15, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    assert colours_apart(shades, shades.flip(0)).max() < 1e-9
    red = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    red[:, 0] = 255
    assert colours_apart(red, shades[:1]).item() == pytest.approx(math.hypot(80.0925, 67.2032))


def test_colours_of_many_pictures_are_those_of_each():
    a, b = pictures(130, seed=1), pictures(130, seed=2)
    hole = torch.rand(130, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    alone = [colours_apart(a[i : i + 1], b[i : i + 1], hole[i : i + 1]) for i in range(130)]
    assert torch.allclose(colours_apart(a, b, hole), torch.cat(alone), rtol=1e-12)


def test_grey_pictures_have_no_measure_of_colour(extractor):
    grey = [pictures(seed=s)[:, :1] for s in (1, 2, 3)]
    items = Items("image", (1, 8, 8))
    one = Extractor("means", "abc", items, 1, lambda x: x.float().mean((2, 3)) + 1, "mean")
    assert "colour_difference" not in found(*grey, one)
