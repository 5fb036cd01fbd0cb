"""Likelihoods: masses sum to one, densities agree with torch.distributions, draws follow them."""

import math

import pytest
import torch
from scipy.stats import logistic
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from genloom.core import Real, Rng
from genloom.errors import BadInput
from genloom.models.likelihoods import Bernoulli, LocationScale, LogisticMixture, make

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


def mixture_output(mixture: LogisticMixture, n: int) -> torch.Tensor:
    """Outputs (n, outputs, 1, 1), the same in each row."""
    torch.manual_seed(2)
    return (mixture.start() + torch.randn(mixture.outputs)).view(1, -1, 1, 1).expand(n, -1, 1, 1)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_masses_of_a_mixture_sum_to_one(levels):
    mixture = LogisticMixture(1, levels, mixtures=5)
    x = torch.linspace(-1, 1, levels).view(-1, 1, 1, 1)
    mass = mixture.log_prob(mixture_output(mixture, levels), x).exp()
    assert mass.shape == (levels, 1, 1)
    assert mass.sum().item() == pytest.approx(1, abs=1e-5)


def test_masses_of_three_coupled_channels_sum_to_one():
    mixture = LogisticMixture(3, 5, mixtures=3)
    x = torch.cartesian_prod(*[torch.linspace(-1, 1, 5)] * 3).view(-1, 3, 1, 1)
    mass = mixture.log_prob(mixture_output(mixture, 125), x).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-5)


def test_a_mixture_agrees_with_scipy():
    mixture = LogisticMixture(3, 256, mixtures=2)
    out, levels = mixture_output(mixture, 1)[0, :, 0, 0].double(), torch.tensor([0, 131, 255])
    x, k = (levels / 127.5 - 1).double(), 2
    weights = out[:k].softmax(0)
    means, scales = out[k : 4 * k].view(k, 3), out[4 * k : 7 * k].view(k, 3).exp()
    a = out[7 * k :].view(k, 3).tanh()
    total = 0.0
    for i in range(k):
        centres = (
            means[i, 0],
            means[i, 1] + a[i, 0] * x[0],
            means[i, 2] + a[i, 1] * x[0] + a[i, 2] * x[1],
        )
        mass = weights[i].item()
        for c in range(3):
            cdf = logistic(loc=centres[c].item(), scale=scales[i, c].item()).cdf
            high = 1.0 if levels[c] == 255 else cdf(x[c].item() + 1 / 255)
            low = 0.0 if levels[c] == 0 else cdf(x[c].item() - 1 / 255)
            mass *= high - low
        total += mass
    found = mixture.log_prob(out.view(1, -1, 1, 1), x.view(1, 3, 1, 1)).exp()
    assert found.item() == pytest.approx(total, rel=1e-6)


def test_draws_of_a_mixture_follow_its_masses():
    mixture, n = LogisticMixture(2, 3, mixtures=3), 20_000
    u = Rng([0]).uniform(n, 3)[0]
    drawn = mixture.draw(mixture_output(mixture, n)[:, :, 0, 0], u)
    x = torch.cartesian_prod(*[torch.linspace(-1, 1, 3)] * 2).view(-1, 2, 1, 1)
    p = mixture.log_prob(mixture_output(mixture, 9), x).exp().flatten()
    counts = ((drawn + 1).long() * torch.tensor([3, 1])).sum(1).bincount(minlength=9)
    assert (counts / n - p).abs().max() < 0.012


def test_without_temperature_a_draw_is_the_likeliest_centre():
    mixture = LogisticMixture(1, 256, mixtures=3)
    out = torch.tensor([[0.0, 2.0, 1.0, -0.5, 0.2, 0.9, 0.0, 0.0, 0.0]])
    (value,) = mixture.draw(out, torch.tensor([[0.99, 0.001]]).double(), temperature=0.0)
    assert value.item() == pytest.approx(0.2, abs=1 / 255)


def test_far_values_have_finite_mass():
    mixture = LogisticMixture(1, 256, mixtures=1)
    out = torch.tensor([0.0, 30.0, -9.0]).view(1, 3, 1, 1)
    assert mixture.log_prob(out, torch.zeros(1, 1, 1, 1)).isfinite().all()
