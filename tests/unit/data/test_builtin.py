"""The data sets that need no download, and the densities of the points."""

import numpy as np
import pytest
import torch

from genloom import data
from genloom.data import builtin, factors, points
from genloom.data.glyphs import draw


def test_digits_are_those_of_scikit_learn():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    dataset = data.open_dataset("digits", valid=0.0, test=0.0)
    bunch = sklearn_datasets.load_digits()
    assert dataset.items.shape == (1, 8, 8) and dataset.items.classes == tuple("0123456789")
    back = dataset.train.items.float().mul(16 / 255).round()[:, 0]
    assert (back.numpy() == bunch.images).all()
    assert (dataset.train.cond["label"].numpy() == bunch.target).all()


def test_glyphs():
    pytest.importorskip("matplotlib")
    dataset = data.open_dataset("glyphs")
    assert dataset.items.shape == (1, 32, 32) and len(dataset.items.classes) == 26
    assert len(dataset.train) + len(dataset.valid) + len(data.open_test(dataset)) == 10_400
    assert torch.bincount(dataset.train.cond["label"]).min() > 280
    ink = dataset.train.items.float().mean((1, 2, 3)) / 255
    assert ink.min() > 0.02 and ink.max() < 0.5
    border = dataset.train.items.float()
    edge = torch.cat([border[..., 0], border[..., -1], border[:, :, 0], border[:, :, -1]], -1)
    assert (edge.amax((1, 2)) < 128).float().mean() > 0.99  # letters fit into their picture
    assert not dataset.findings


def test_factors_are_labelled_by_shape_and_know_their_causes():
    dataset = data.open_dataset("factors")
    assert dataset.items.shape == (1, 32, 32) and dataset.items.classes == factors.SHAPES
    images, causes = factors.draw()
    found = []
    for part in (dataset.train, dataset.valid, data.open_test(dataset)):
        assert part.factors is not None and part.factors.shape == (len(part), 5)
        assert torch.equal(part.factors[:, 0], part.cond["label"])
        found += [tuple(row) for row in part.factors.tolist()]
    assert sorted(found) == [tuple(row) for row in causes.tolist()]
    row = causes.tolist().index(dataset.train.factors[7].tolist())
    assert torch.equal(dataset.train.items[7], torch.from_numpy(images[row]))


@pytest.mark.parametrize("size", [16, 8])
def test_factors_stay_known_in_another_size(size):
    part = data.open_dataset("factors", size=size).valid
    assert part.items.shape[1:] == (1, size, size) and len(part.factors) == len(part)


def test_other_data_know_no_factors(tmp_path):
    for name in ("rings", "glyphs"):
        assert data.open_dataset(name).train.factors is None
    assert builtin.factors_of(["factors[0]", "factors[6143]"]).tolist() == [
        [0, 0, 0, 0, 0],
        [2, 3, 7, 7, 7],
    ]
    for names in ([], ["factors[0]", "a.png"], ["factors[6144]"], ["my/factors[0]"], ["moons[0]"]):
        assert builtin.factors_of(names) is None


@pytest.mark.slow
def test_glyphs_are_told_apart_by_a_linear_rule():
    """Labels belong to pictures: the nearest class mean finds most of them."""
    x, y = draw()
    x = x.reshape(len(x), -1).astype(np.float32)
    means = np.stack([x[y == k].mean(0) for k in range(26)])
    guess = np.argmin((means**2).sum(1) - 2 * x @ means.T, 1)
    assert (guess == y).mean() > 0.7


@pytest.mark.parametrize("name", ["moons", "rings", "gaussians"])
def test_densities_integrate_to_one(name):
    axis = torch.linspace(-3.2, 3.2, 161, dtype=torch.float64)
    plane = torch.cartesian_prod(axis, axis)
    total = data.log_density(name, plane).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(total - 1) < 1e-4


@pytest.mark.parametrize("name", ["moons", "rings", "gaussians"])
def test_densities_are_those_of_the_points(name):
    """Mass of the density in each cell of a grid against the share of points in it."""
    edges = torch.linspace(-2.4, 2.4, 13, dtype=torch.float64)
    x, _ = points.draw(name, 40_000, seed=3)
    seen, _, _ = np.histogram2d(*x.double().T.numpy(), bins=[edges.numpy()] * 2)
    fine = (torch.arange(12 * 20) + 0.5) * (4.8 / 240) - 2.4
    plane = torch.cartesian_prod(fine, fine).double()
    mass = data.log_density(name, plane).exp().view(12, 20, 12, 20).sum((1, 3)) * 0.02**2
    difference = (torch.from_numpy(seen) / len(x) - mass).abs().sum() / 2
    assert difference < 0.02


def test_gaussians_have_25_modes():
    x, labels = points.draw("gaussians", 10_000)
    nearest = torch.cdist(x, data.centres().float()).min(-1)
    assert labels is None and torch.bincount(nearest.indices).min() > 300
    assert (nearest.values < 4 * points.GRID_NOISE).float().mean() > 0.999
    assert x.std(0).sub(1).abs().max() < 0.02


def test_they_are_the_same_each_time(tmp_path):
    first, second = (
        data.open_dataset("rings", cache=tmp_path / name).train.items for name in ("a", "b")
    )
    assert (first == second).all()
