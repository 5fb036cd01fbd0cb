"""A learned variance: right for normal data in few steps, taught by the bound alone."""

import math
from collections import deque
from functools import partial

import pytest
import torch
from torch import nn

from genloom.core import Likelihood, Real, Rng, Tokens
from genloom.errors import BadInput
from genloom.models import learned_variance
from genloom.models.diffusion import Diffusion
from genloom.models.learned_variance import Chain
from genloom.nets.mlp import Mlp
from genloom.nets.unet import UNet
from genloom.schedules import betas_cosine, betas_linear, table
from genloom.solvers import ancestral

SMALL = partial(Mlp, width=32, blocks=1)
FEW = table("linear")[torch.tensor([0, 100, 300, 500, 700, 900, 999])]
STD, CHAIN = 0.5, Chain(FEW, torch.tensor([[1.5]]))  # the chain takes the data to be wider


def exact(x, sigma):
    """D of N(0.3, STD^2)."""
    return 0.3 + (x - 0.3) * STD**2 / (STD**2 + sigma[:, None] ** 2)


def right(s, t):
    """The v of the true variance of x_t given x_s."""
    log_var = ((STD**2 + t**2) * (s**2 - t**2) / (STD**2 + s**2)).log()
    low, high = (CHAIN.log_variance(torch.full_like(s, v), s, t) for v in (-1.0, 1.0))
    return 2 * (log_var - low) / (high - low) - 1


def exact_guesses(x, sigma):
    before = torch.cat([FEW.new_zeros(1), FEW])
    t = before[torch.searchsorted(FEW, sigma.double() * (1 - 1e-6))].to(x)
    return exact(x, sigma), right(sigma[:, None], t[:, None]).expand_as(x)


def fixed(v):
    return lambda x, sigma: (exact(x, sigma), torch.full_like(x, v))


def bound(guesses, y, draws=24):
    generator = torch.Generator().manual_seed(8)  # not that of the data
    mean = torch.full((1, 1), 0.3)
    return learned_variance.bound(
        guesses, y, CHAIN, mean, levels=None, draws=draws, generator=generator
    )


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_the_ends_are_the_betas_of_the_table(name):
    """And "beta tilde", both divided by "alpha bar"; the first of these is that of the next row."""
    betas = betas_linear() if name == "linear" else betas_cosine()
    kept = (1 - betas).cumprod(0)
    before = torch.cat([torch.ones(1).double(), kept[:-1]])
    tilde = (1 - before) / (1 - kept) * betas / before
    tilde[0] = (1 - kept[0]) / (1 - kept[1]) * betas[1] / kept[0]
    chain = Chain(table(name), torch.ones(1, 1).double())
    s, t = chain.at(torch.zeros(1000, 1).double(), torch.arange(1000))
    for v, wanted in ((-1.0, tilde), (1.0, betas / before)):
        found = chain.log_variance(torch.full_like(s, v), s, t).exp()[:, 0]
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


def test_the_bound_of_seven_steps_is_tight_with_the_right_variance_alone():
    y = 0.3 + STD * torch.randn(40_000, 1)
    truth = torch.distributions.Normal(0.3, STD).log_prob(y)[:, 0]
    error = (truth - bound(exact_guesses, y)).std().item() / 200
    assert error < 0.01
    gaps = {
        name: (truth - bound(guesses, y)).mean().item()
        for name, guesses in (("right", exact_guesses), ("low", fixed(-1.0)), ("high", fixed(1.0)))
    }
    assert gaps["right"] == pytest.approx(0.0, abs=4 * error)
    assert gaps["low"] > 0.5 and gaps["high"] > 0.2, gaps


def test_the_bound_counts_every_step_once():
    """More draws leave its mean: the chances of the steps are paid back."""
    y = 0.3 + STD * torch.randn(20_000, 1)
    few, many = (bound(fixed(0.0), y, draws).mean().item() for draws in (3, 60))
    assert few == pytest.approx(many, rel=0.02)


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_masses_of_all_levels_sum_to_one(levels):
    y = torch.linspace(-1, 1, levels, dtype=torch.float64)[:, None]
    mean = torch.tensor([[-1.3, 0.1, 0.9, 5.0]], dtype=torch.float64)
    log_var = torch.tensor([[-9.0, -1.0, 2.0, -2.0]], dtype=torch.float64)
    found = learned_variance._log_normal(y, mean, log_var, levels)
    assert found.shape == (levels, 4) and found.isfinite().all()
    torch.testing.assert_close(found.exp().sum(0), torch.ones(4, dtype=torch.float64))
    normal = torch.distributions.Normal(mean, (log_var / 2).exp())
    if levels == 256:
        inner = normal.cdf(y + 1 / 255) - normal.cdf(y - 1 / 255)
        assert torch.allclose(found.exp()[1:-1], inner[1:-1], atol=1e-12)


def test_the_lowest_variance_is_that_of_the_plain_solver():
    sigmas = torch.cat([FEW.flip(0), torch.zeros(1)])
    x = 100 * torch.randn(50, 1)
    for eta in (0.0, 0.6, 1.0):
        streams = [torch.Generator().manual_seed(1) for _ in range(2)]
        ours, plain = (
            lambda stream=stream: torch.randn(50, 1, generator=stream) for stream in streams
        )
        found = deque(
            learned_variance.ancestral(fixed(-1.0), x, sigmas, ours, CHAIN, eta=eta), maxlen=1
        ).pop()
        wanted = deque(ancestral(exact, x, sigmas, plain, eta=eta), maxlen=1).pop()
        assert torch.allclose(found, wanted, atol=1e-5)


def test_few_steps_keep_the_spread_of_the_data_with_the_right_variance():
    sigmas = torch.cat([FEW.flip(0), torch.zeros(1)])
    start = 0.3 + math.hypot(sigmas[0], STD) * torch.randn(20_000, 1)
    spread = {}
    for name, guesses in (("right", exact_guesses), ("low", fixed(-1.0))):
        noise = partial(torch.randn, 20_000, 1)
        steps = learned_variance.ancestral(guesses, start, sigmas, noise, CHAIN)
        d = deque(steps, maxlen=1).pop()
        spread[name] = d.std().item() / (STD**2 / math.hypot(STD, FEW[0].item()))
    assert spread["right"] == pytest.approx(1.0, abs=0.02)
    assert spread["low"] < 0.95


class Told(nn.Module):
    """A net that knows the noise of N(0, 1) data, and learns one v."""

    def __init__(self, *_):
        super().__init__()
        self.shift, self.v = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, z, t, cond):
        r = (4 * t).exp()[:, None]
        best = z * r / (1 + r.square()).sqrt()  # E[noise | z]
        return torch.cat([best + self.shift, self.v.expand_as(z)], 1)


def test_training_finds_the_variance_of_normal_data_and_leaves_the_mean():
    model = Diffusion(Real((1,)), {}, net=Told, target="eps", law="linear", variance="learned")
    terms = model.loss(torch.randn(200_000, 1), {})
    assert set(terms) == {"eps", "bound"}
    mean, v = torch.autograd.grad(terms["bound"], [model.net.shift, model.net.v], allow_unused=True)
    assert mean is None or mean == 0
    assert v < 0  # towards 1, where "beta" is
    optimizer = torch.optim.Adam([model.net.v], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(torch.randn(20_000, 1), {})["bound"].backward()
        optimizer.step()
    assert model.net.v.item() == pytest.approx(1.0, abs=0.15)


def test_the_term_is_the_bound_of_the_whole_chain_in_bits():
    """Of Eq. 16: 0.001 times the mean over data of L_vlb, without the prior's share."""
    model = Diffusion(Real((1,)), {}, net=Told, target="eps", law="linear", variance="learned")
    model.net.v.data.fill_(1.0)
    torch.manual_seed(8)  # log_prob has the noise of 0
    y = torch.randn(200_000, 1)
    found = model.loss(y, {})["bound"].item() / learned_variance.HYBRID
    assert found == pytest.approx(-model.log_prob(y, {}).mean().item() / math.log(2), abs=0.15)
    truth = torch.distributions.Normal(0.0, 1.0).log_prob(y).mean().item()
    assert model.log_prob(y, {}).mean().item() == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize("law", ["linear", "cosine", "linear-zero", "cosine-zero"])
def test_a_model_of_pictures_trains_samples_and_answers(law):
    net = partial(UNet, width=8, levels=1, groups=4)
    model = Diffusion(
        Real((3, 6, 6), 256), {"label": Tokens((), 2)}, net=net, target="v", law=law,
        variance="learned",
    )  # fmt: skip
    assert isinstance(model, Likelihood)
    x, cond = torch.randint(256, (16, 3, 6, 6)) / 127.5 - 1, {"label": torch.arange(16) % 2}
    model.prepare(x, cond)
    sum(model.loss(x, cond).values()).backward()
    grad = model.net.last.weight.grad
    assert grad.isfinite().all() and grad.flatten(1).abs().amax(1).min() > 0
    with torch.no_grad():
        nn.init.normal_(model.net.last.weight, std=0.1)
        few = [{"label": cond["label"][:n]} for n in (4, 1)]
        four, one = (
            deque(
                model.sample_steps(
                    Rng(range(len(c["label"]))), c, solver="ancestral", steps=5, guidance=3.0
                ),
                maxlen=1,
            ).pop()
            for c in few
        )
        assert four.shape == (4, 3, 6, 6) and torch.allclose(four[:1], one, atol=1e-4)
        found = model.log_prob(x, cond)
    assert found.isfinite().all() and (found < 0).all()


def test_a_law_without_a_table_is_refused():
    with pytest.raises(BadInput, match="the law uniform is none"):
        Diffusion(Real((2,)), {}, net=SMALL, variance="learned")
