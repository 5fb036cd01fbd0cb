"""Likelihoods: masses sum to one, densities agree with torch.distributions, draws follow them."""

import math

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from genloom.core import Real, Rng
from genloom.errors import BadInput
from genloom.models.likelihoods import Bernoulli, LocationScale, make

GREY = Real((1, 4, 4), levels=256)


def parts(likelihood: LocationScale, centre: float, log_scale: float, n: int) -> torch.Tensor:
    """Decoder outputs (n, 2, 1) of a "pixel" likelihood with that centre and log scale."""
    free = likelihood.floor + math.log(math.expm1(log_scale - likelihood.floor))
    return torch.tensor([centre, free]).view(1, 2, 1).expand(n, 2, 1)


@pytest.mark.parametrize("shape", ["gaussian", "logistic"])
@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize(
    ("centre", "log_scale"), [(0.0, -1.0), (0.3, -5.0), (-1.4, -2.0), (2.5, -4.0), (0.1, 3.0)]
)
def test_masses_sum_to_one(shape, levels, centre, log_scale):
    likelihood = LocationScale(shape, levels, "pixel")
    x = torch.linspace(-1, 1, levels).view(-1, 1, 1)
    mass = likelihood.log_prob(parts(likelihood, centre, log_scale, levels), x).exp()
    assert mass.sum().item() == pytest.approx(1, abs=2e-4)
    assert (mass >= 0).all()


def test_bernoulli_masses_sum_to_one_and_agree_with_torch():
    logit = torch.linspace(-5, 5, 11).view(-1, 1, 1)
    one, zero = (Bernoulli().log_prob(logit, torch.full_like(logit, v)) for v in (1.0, -1.0))
    torch.testing.assert_close(one.exp() + zero.exp(), torch.ones(11))
    expected = TorchBernoulli(logits=logit[:, 0, 0]).log_prob(torch.ones(11))
    torch.testing.assert_close(one, expected)


def test_gaussian_density_agrees_with_torch():
    likelihood = LocationScale("gaussian", None, "global")
    likelihood.prepare(torch.randn(1000) * 0.4)
    centre, x = torch.randn(5, 3), torch.randn(5, 3)
    floor = likelihood.floor
    sigma = math.exp(floor + math.log1p(math.exp(likelihood.start.item() - floor)))
    expected = Normal(centre, sigma).log_prob(x).sum(1)
    torch.testing.assert_close(likelihood.log_prob(centre, x), expected, rtol=1e-4, atol=1e-4)


def test_the_scale_starts_from_the_spread_of_the_data():
    likelihood = LocationScale("gaussian", None, "global")
    likelihood.prepare(torch.tensor([-3.0, 3.0] * 50))
    assert likelihood.start.exp().item() == pytest.approx(3.0, rel=0.02)


def test_a_narrow_gaussian_mass_is_the_integral_of_its_density():
    likelihood = LocationScale("gaussian", 256, "pixel")
    out = parts(likelihood, 0.05, -2.5, 1)
    x = torch.linspace(-1, 1, 256)[[130]].view(1, 1, 1)
    sigma, step = math.exp(-2.5), 2 / 255
    normal = Normal(torch.tensor(0.05).double(), sigma)
    edges = x.double().item() + torch.tensor([-step / 2, step / 2]).double()
    low, high = normal.cdf(edges)
    assert likelihood.log_prob(out, x).exp().item() == pytest.approx((high - low).item(), rel=1e-3)


@pytest.mark.parametrize("shape", ["gaussian", "logistic"])
def test_nothing_but_haze_is_eight_bits_on_256_levels(shape):
    likelihood = LocationScale(shape, 256, "pixel")
    torch.nn.init.constant_(likelihood.haze, 50.0)
    x = torch.randint(0, 256, (20, 1, 1)) / 127.5 - 1
    bits = -likelihood.log_prob(parts(likelihood, 0.3, -3.0, 20), x) / math.log(2)
    torch.testing.assert_close(bits, torch.full((20,), 8.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", ["gaussian", "logistic"])
def test_black_or_white_costs_about_a_bit(shape):
    likelihood = LocationScale(shape, 256, "pixel")
    x = torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    bits = -likelihood.log_prob(parts(likelihood, 0.0, 5.0, 2), x) / math.log(2)
    torch.testing.assert_close(bits, torch.ones(2), atol=0.02, rtol=0)


def test_an_undecided_bernoulli_is_one_bit():
    x = torch.tensor([[-1.0, 1.0, 1.0]])
    bits = -Bernoulli().log_prob(torch.zeros(1, 3), x) / math.log(2)
    assert bits.item() == pytest.approx(3.0)


@pytest.mark.parametrize("shape", ["gaussian", "logistic"])
@pytest.mark.parametrize(("centre", "log_scale"), [(0.2, -1.5), (-1.3, -1.0), (3.0, -3.0)])
def test_draws_follow_the_masses(shape, centre, log_scale):
    likelihood, n = LocationScale(shape, 9, "pixel"), 4000
    x = torch.linspace(-1, 1, 9).view(-1, 1, 1)
    mass = likelihood.log_prob(parts(likelihood, centre, log_scale, 9), x).exp()
    drawn = likelihood.draw(parts(likelihood, centre, log_scale, n), Rng(range(n)))
    share = torch.stack([(drawn - v).abs().flatten().lt(1e-6).float().mean() for v in x.flatten()])
    torch.testing.assert_close(share, mass, atol=0.035, rtol=0)
    mean = likelihood.mean(parts(likelihood, centre, log_scale, 1)).item()
    assert mean == pytest.approx((mass * x.flatten()).sum().item(), abs=0.02)


@pytest.mark.parametrize("shape", ["gaussian", "logistic"])
def test_gradients_are_finite_far_outside_the_range(shape):
    likelihood = LocationScale(shape, 256, "pixel")
    out = torch.tensor([[30.0, -50.0], [-30.0, 50.0], [0.0, -9.0]])[..., None].requires_grad_()
    total = likelihood.log_prob(out, torch.tensor([-1.0, 1.0, 0.5]).view(3, 1, 1)).sum()
    total.backward()
    assert total.isfinite()
    assert out.grad is not None and out.grad.isfinite().all()


def test_the_space_chooses_and_bernoulli_refuses_grey():
    assert isinstance(make(Real((1, 4, 4), levels=2), None, None), Bernoulli)
    grey = make(GREY, None, None)
    assert isinstance(grey, LocationScale) and (grey.shape, grey.factors) == ("logistic", 2)
    points = make(Real((2,)), None, None)
    assert isinstance(points, LocationScale) and (points.shape, points.factors) == ("gaussian", 1)
    with pytest.raises(BadInput, match="256 levels"):
        make(GREY, "bernoulli", None)
