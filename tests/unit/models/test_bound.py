"""The bound is tight for an exact denoiser, and masses add up to one."""

import math

import pytest
import torch

from genloom.core import Likelihood, Real
from genloom.models.bound import Ends, variational
from genloom.models.diffusion import flow


@pytest.mark.parametrize("high", [3.0, 200.0])
def test_tight_on_a_gaussian(high):
    std = torch.tensor([0.5, 2.0])

    def denoiser(x, sigma):
        return x * std**2 / (std**2 + sigma[:, None] ** 2)

    x = std * torch.randn(40_000, 2)
    ends = Ends(torch.zeros(2), std, 0.004, high)
    found = variational(
        denoiser, x, ends, levels=None, draws=64, generator=torch.Generator().manual_seed(0)
    )
    exact = torch.distributions.Normal(0.0, std).log_prob(x).sum(1)
    error = (found - exact).std().item() / math.sqrt(40_000)
    assert error < 0.03
    assert (found - exact).mean().item() == pytest.approx(0.0, abs=4 * error)


@pytest.mark.parametrize(
    ("p", "low"), [([0.1, 0.5, 0.15, 0.25], 1 / 12), ([0.25, 0.25, 0.25, 0.25], 1 / 3)]
)
def test_masses_of_all_values_sum_to_one_and_are_the_right_ones(p, low):
    """Four levels, whose exact denoiser is a softmax; coarse noise takes them as equally likely."""
    values, p = torch.linspace(-1, 1, 4), torch.tensor(p)

    def denoiser(x, sigma):
        logits = p.log() - (x - values).square() / (2 * sigma[:, None] ** 2)
        return (logits.softmax(1) @ values)[:, None]

    mean = (p @ values)[None, None]
    ends = Ends(mean, (p @ (values - mean[0]).square()).sqrt()[None, None], low, 200.0)
    found = [
        variational(
            denoiser,
            value.expand(10_000, 1),
            ends,
            levels=4,
            draws=32,
            generator=torch.Generator().manual_seed(0),
        ).mean()
        for value in values
    ]
    masses = torch.stack(found).exp()
    assert torch.allclose(masses, p, rtol=0.05)
    assert masses.sum().item() == pytest.approx(1.0, abs=0.02)


def test_a_model_answers_in_the_form_of_the_protocol():
    model = flow(Real((1, 6, 6), 256), {})
    assert isinstance(model, Likelihood) and model.likelihood == "bound"
    x = torch.randint(256, (3, 1, 6, 6)) / 127.5 - 1
    model.prepare(x, {})
    found = model.log_prob(x, {})
    assert found.shape == (3,) and found.isfinite().all()
    bits = -found / (36 * math.log(2))
    assert bits.min() > 5 and bits.max() < 20  # an untrained model; uniform bytes cost 8
    assert torch.equal(found, model.log_prob(x, {}))
