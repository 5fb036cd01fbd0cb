"""The measures agree with scipy and torchmetrics on stored features, to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from genloom.metrics.copies import nearness
from genloom.metrics.estimate import binomial_tail, fisher_greater, t_quantile, wilson
from genloom.metrics.frechet import distance
from genloom.metrics.inception_score import score
from genloom.metrics.kid import mmd
from genloom.metrics.prdc import prdc


@pytest.fixture(scope="module")
def features():
    """Correlated features of unequal scale, seeded."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(32, 32, generator=generator).double() / 32**0.5
    x = torch.randn(400, 32, generator=generator).double() @ mix
    y = torch.randn(400, 32, generator=generator).double() @ mix * 1.1 + 0.2
    return x, y


class Flat(torch.nn.Module):
    """Hands the features through, in the form in which torchmetrics wants an extractor."""

    num_features = 32

    def forward(self, x):
        return x


def scipy_frechet(x, y):
    """The formula of pytorch-fid and clean-fid."""
    mean, other = x.mean(0), y.mean(0)
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(s1 @ s2).real
    return float(((mean - other) ** 2).sum() + np.trace(s1 + s2 - 2 * root))


def test_frechet_of_scipy(features):
    x, y = features
    assert distance(x, y) == pytest.approx(scipy_frechet(x.numpy(), y.numpy()), rel=1e-6)


def test_frechet_of_scipy_with_fewer_samples_than_dimensions():
    """There scipy's root of a singular matrix is only good to about 1e-5 of the trace."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(40, 64, generator=generator).double() for _ in range(2))
    assert distance(x, y) == pytest.approx(scipy_frechet(x.numpy(), y.numpy()), rel=1e-5)


def test_frechet_of_torchmetrics(features):
    x, y = features
    peer = FrechetInceptionDistance(Flat(), normalize=False).set_dtype(torch.float64)
    peer.update(y, real=True)
    peer.update(x, real=False)
    assert distance(x, y) == pytest.approx(float(peer.compute()), rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric:UserWarning")
def test_kid_of_torchmetrics(features):
    x, y = features
    peer = KernelInceptionDistance(Flat(), subsets=1, subset_size=400)
    peer.update(y, real=True)
    peer.update(x, real=False)
    assert mmd(x, y) == pytest.approx(float(peer.compute()[0]), rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric:UserWarning")
def test_inception_score_of_torchmetrics(features):
    peer = InceptionScore(Flat(), splits=1)
    peer.update(3 * features[0])
    with pytest.warns(UserWarning, match="degrees of freedom"):
        expected = float(peer.compute()[0])
    assert score(3 * features[0]) == pytest.approx(expected, rel=1e-6)


def test_precision_recall_density_coverage_of_their_authors(features):
    """The published code, in numpy (Naeem et al. 2020): 30 lines written again here."""
    x, y, k = features[0].numpy(), features[1].numpy(), 5

    def between(a, b):
        return np.sqrt(np.maximum(((a[:, None] - b[None]) ** 2).sum(-1), 0))

    def radii(a):
        return np.sort(between(a, a), axis=1)[:, k]

    real_fake, real, fake = between(y, x), radii(y), radii(x)
    expected = {
        "precision": (real_fake < real[:, None]).any(0).mean(),
        "recall": (real_fake < fake[None]).any(1).mean(),
        "density": (real_fake < real[:, None]).sum(0).mean() / k,
        "coverage": (real_fake.min(1) < real).mean(),
    }
    found = {e.name: e.value for e in prdc(*features, id="f")}
    assert found == pytest.approx(expected, rel=1e-6)


def test_intervals_and_tests_of_scipy():
    for df in (1, 2, 3, 7, 19, 100, 199, 201, 5000):
        assert t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-6)
    for k, n in ((3, 10), (60, 100), (530, 1000), (0, 4), (4, 4)):
        assert binomial_tail(k, n) == pytest.approx(stats.binom.sf(k - 1, n, 0.5), rel=1e-6)
    for a, n, b, m in ((10, 200, 0, 200), (12, 200, 5, 180), (0, 9, 3, 9), (50, 1000, 10, 1000)):
        peer = stats.fisher_exact([[a, n - a], [b, m - b]], alternative="greater")
        assert fisher_greater(a, n, b, m) == pytest.approx(peer.pvalue, rel=1e-6)
    for k, n in ((0, 30), (15, 30), (29, 30)):
        peer = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k, n) == pytest.approx((peer.low, peer.high), rel=1e-6, abs=1e-9)


def test_neighbours_of_scipy(features):
    """The nearness search against a k-d tree."""
    from scipy.spatial import cKDTree

    x, train = features
    distances, rows = cKDTree(train.numpy()).query(x.numpy(), 51)
    found = nearness(x, train, chunk=64)
    assert np.array_equal(found.nearest.numpy(), rows[:, 0])
    expected = distances[:, 0] / distances[:, 1:].mean(1)
    assert found.score.numpy() == pytest.approx(expected, rel=1e-6)
