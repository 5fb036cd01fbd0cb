"""Solvers on Gaussians and a mixture of them, whose denoisers are exact: order, mean, variance."""

import math
from collections import deque
from itertools import pairwise

import pytest
import torch

from genloom.errors import BadInput
from genloom.schedules import karras
from genloom.solvers import SOLVERS, ancestral, carried, unipc

MEAN, STD, HIGH, LOW = 0.7, 0.5, 80.0, 0.002


def denoiser(x, sigma):
    return MEAN + (x - MEAN) * STD**2 / (sigma[:, None] ** 2 + STD**2)


def last(steps):
    return deque(steps, maxlen=1).pop()


def start(n=64):
    generator = torch.Generator().manual_seed(0)
    return MEAN + HIGH * torch.randn(n, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "order"), [("euler", 1.0), ("heun", 2.0), ("dpmpp", 2.0), ("unipc", 3.0)]
)
def test_order_of_convergence(name, order):
    x = start()
    exact = MEAN + (x - MEAN) * STD / math.sqrt(HIGH**2 + STD**2)
    errors = [
        (last(SOLVERS[name](denoiser, x, karras(steps, LOW, HIGH))) - exact).abs().max().item()
        for steps in (32, 64, 128)
    ]
    found = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(order - 0.15 < f < order + 0.35 for f in found), (found, errors)


def mixture(x, sigma):
    """E[datum | noisy] of N(1, 0.3^2) and N(-0.6, 0.5^2) at odds 0.7 to 0.3."""
    weights, means, stds = (
        torch.tensor(v, dtype=x.dtype) for v in ((0.7, 0.3), (1.0, -0.6), (0.3, 0.5))
    )
    x, variance = x[..., None], sigma[:, None, None] ** 2 + stds**2
    logits = weights.log() - (x - means).square() / (2 * variance) - variance.log() / 2
    means = means + stds**2 / variance * (x - means)
    return (logits.softmax(-1) * means).sum(-1)


def smooth(steps):
    """Levels from 8 to 0.05, smooth in the step's number: there the order shows soonest."""
    return torch.cat([karras(steps, 0.05, 8.0, rho=3.0)[:-1], torch.zeros(1)]).double()


@pytest.fixture(scope="module")
def far():
    """Starts, and where the exact path of the mixture leads from them down to sigma = 0.05."""
    x = torch.linspace(-16, 16, 40, dtype=torch.float64)[:, None]
    fine = torch.logspace(math.log10(8.0), math.log10(0.05), 4001, dtype=torch.float64)
    return x, carried(mixture, x, fine)


def test_a_path_is_carried_at_order_two(far):
    x, end = far
    errors = [
        (carried(mixture, x, smooth(steps)[:-1]) - end).square().mean().sqrt().item()
        for steps in (65, 129, 257)
    ]
    found = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(1.8 < f < 2.6 for f in found), (found, errors)


@pytest.mark.parametrize(
    ("name", "order"), [("euler", 1.0), ("heun", 2.0), ("dpmpp", 2.0), ("unipc", 2.0)]
)
def test_order_of_convergence_on_a_mixture(name, order, far):
    """Slopes of the error in the denoised guess at the last level, against the number of steps."""
    x, end = far
    exact = mixture(end, torch.full((len(x),), 0.05, dtype=x.dtype))
    errors = [
        (last(SOLVERS[name](mixture, x, smooth(steps))) - exact).square().mean().sqrt().item()
        for steps in (64, 128, 256)
    ]
    found = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(order - 0.2 < f < order + 1.2 for f in found), (found, errors)


def spread(steps, **options):
    """The variance of what `ancestral` draws from the Gaussian of mean 0, exactly.

    Every step is linear, so a batch with one unit draw each tells what each draw adds.
    """
    draws = iter(range(1, steps))
    sigmas = smooth(steps)

    def centred(x, sigma):
        return x * STD**2 / (sigma[:, None] ** 2 + STD**2)

    def noise():
        unit = torch.zeros(steps, 1, dtype=torch.float64)
        unit[next(draws)] = 1.0
        return unit

    x = torch.zeros(steps, 1, dtype=torch.float64)
    x[0] = math.sqrt(8.0**2 + STD**2)  # the first row is the start, of the exact deviation
    return last(ancestral(centred, x, sigmas, noise, **options)).square().sum().item()


@pytest.mark.parametrize(("order", "eta"), [(1, 1.0), (1, 0.5), (2, 1.0), (2, 0.0)])
def test_weak_order_of_convergence_with_fresh_noise(order, eta):
    low = 0.05
    exact = STD**4 / (low**2 + STD**2)  # the variance of the denoised datum at the last level
    errors = [abs(spread(n, order=order, eta=eta) - exact) for n in (128, 256, 512)]
    found = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(order - 0.2 < f < order + 0.6 for f in found), (found, errors)


def test_a_path_may_be_carried_in_parts():
    x, sigmas = start(), karras(12, LOW, HIGH)
    whole = carried(denoiser, x, sigmas)
    assert torch.equal(whole, carried(denoiser, carried(denoiser, x, sigmas[:5]), sigmas[4:]))
    fine = torch.logspace(math.log10(HIGH), -1, 2000, dtype=torch.float64)
    exact = MEAN + (x - MEAN) * math.sqrt((0.1**2 + STD**2) / (HIGH**2 + STD**2))
    assert (carried(denoiser, x, fine) - exact).abs().max() < 1e-4
    with pytest.raises(BadInput, match="fall strictly"):
        carried(denoiser, x, [1.0, -0.5])


@pytest.mark.parametrize("name", list(SOLVERS))
def test_yields_one_guess_a_step_and_the_last_is_the_sample(name):
    evaluations = 0

    def counted(x, sigma):
        nonlocal evaluations
        evaluations += 1
        return denoiser(x, sigma)

    guesses = list(SOLVERS[name](counted, start(), karras(8, LOW, HIGH)))
    assert len(guesses) == 8
    assert evaluations == (15 if name == "heun" else 8)
    spread = [(g - guesses[-1]).abs().mean().item() for g in guesses]
    assert spread[0] > 0.2 and spread[-2] < 0.08


def test_ancestral_has_the_mean_and_variance_of_the_data():
    generator = torch.Generator().manual_seed(0)

    def noise():
        return torch.randn(4000, 3, generator=generator, dtype=torch.float64)

    x = MEAN + HIGH * noise()
    sample = last(ancestral(denoiser, x, karras(300, 0.01, HIGH), noise))
    n = sample.numel()
    assert sample.mean().item() == pytest.approx(MEAN, abs=4 * STD / math.sqrt(n))
    assert sample.std().item() == pytest.approx(STD, rel=4 / math.sqrt(2 * n) + 0.005)


def test_one_ancestral_step_is_the_posterior_of_ddpm():
    """Ho et al., Eq. 6 and 7, for one step of the linear table, in its own coordinates."""
    beta, kept_before = 0.01, 0.4
    kept = kept_before * (1 - beta)
    s, t = (math.sqrt((1 - k) / k) for k in (kept, kept_before))
    x = torch.tensor([[1.3]], dtype=torch.float64)  # scaled to deviation s: x_t / sqrt(kept)
    d = 0.2

    def step(noise):
        seen = []

        def watch(y, sigma):
            seen.append(y)
            return torch.full_like(y, d)

        deque(ancestral(watch, x, [s, t, 0.0], lambda: torch.full_like(x, noise)), maxlen=0)
        return seen[1].item()

    x_t = 1.3 * math.sqrt(kept)
    mean = (
        math.sqrt(kept_before) * beta / (1 - kept) * d
        + math.sqrt(1 - beta) * (1 - kept_before) / (1 - kept) * x_t
    )
    variance = (1 - kept_before) / (1 - kept) * beta
    assert step(0.0) * math.sqrt(kept_before) == pytest.approx(mean, rel=1e-9)
    fresh = (step(1.0) - step(0.0)) * math.sqrt(kept_before)
    assert fresh == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_ancestral_without_noise_is_euler():
    sigmas = karras(10, LOW, HIGH)
    a = last(ancestral(denoiser, start(), sigmas, lambda: torch.zeros(64, 3), eta=0.0))
    assert torch.allclose(a, last(SOLVERS["euler"](denoiser, start(), sigmas)))
    b = last(ancestral(denoiser, start(), sigmas, lambda: torch.zeros(64, 3), eta=0.0, order=2))
    assert torch.allclose(b, last(SOLVERS["dpmpp"](denoiser, start(), sigmas)))


@pytest.mark.parametrize("sigmas", [[1.0], [1.0, 0.5], [0.5, 1.0, 0.0], [1.0, 1.0, 0.0]])
def test_bad_levels_are_named(sigmas):
    with pytest.raises(BadInput, match="fall strictly and end in 0"):
        last(unipc(denoiser, start(), sigmas))
