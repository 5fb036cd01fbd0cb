"""Solvers on a Gaussian, whose denoiser is exact: order of convergence, mean and variance."""

import math
from collections import deque
from itertools import pairwise

import pytest
import torch

from genloom.errors import BadInput
from genloom.schedules import karras
from genloom.solvers import SOLVERS, ancestral, unipc

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


@pytest.mark.parametrize("sigmas", [[1.0], [1.0, 0.5], [0.5, 1.0, 0.0], [1.0, 1.0, 0.0]])
def test_bad_levels_are_named(sigmas):
    with pytest.raises(BadInput, match="fall strictly and end in 0"):
        last(unipc(denoiser, start(), sigmas))
