"""Hierarchical VAE: rates and bounds against other formulas, codes, conditions, training."""

import math
from functools import partial

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genloom.core import Latents, Likelihood, Real, Rng, Step, Tokens
from genloom.learner import Learner, Micro
from genloom.models.hvae import Hvae, _divergence
from genloom.nets.ladder import Ladder
from genloom.recipe import merged
from genloom.sampling import sample

small = partial(Ladder, width=8, latent=2, top=3)
BITS = Real((1, 8, 8), levels=2)


def halves(n: int) -> torch.Tensor:
    """Bits whose left or right half is white."""
    x = -torch.ones(n, 1, 8, 8)
    for i in range(n):
        x[i, :, :, 4 * (i % 2) : 4 * (i % 2) + 4] = 1
    return x


def moved(space: Real = BITS, conditions=None, **options) -> Hvae:
    """A model off its start, where posterior and prior differ."""
    torch.manual_seed(0)
    model = Hvae(space, conditions or {}, net=small, **options)
    with torch.no_grad():
        for p in model.net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def terms_of(model: Hvae, x: torch.Tensor, fraction: int = 1) -> dict[str, torch.Tensor]:
    return dict(model.losses(x, {}, Step(fraction, 2)))[""]


def test_the_divergence_is_that_of_torch():
    q, p = ((torch.randn(4, 3), torch.randn(4, 3)) for _ in range(2))
    wanted = kl_divergence(Normal(q[0], q[1].exp()), Normal(p[0], p[1].exp()))
    assert torch.allclose(_divergence(q, p), wanted, rtol=1e-4)


def test_at_the_start_the_latents_carry_nothing():
    model = Hvae(BITS, {}, net=small)
    terms = terms_of(model, halves(4))
    assert terms["rate"].item() == pytest.approx(0, abs=1e-4)
    assert model.net.shapes == [(3, 1, 1), (2, 4, 4)] and model.sizes == [3, 32]


def test_the_loss_is_the_mean_of_the_bound_with_one_draw():
    model, x = moved(), halves(2)
    with torch.no_grad():
        weights = model._log_weight(x.repeat(2000, 1, 1, 1), {}).double()
        losses = [sum(terms_of(model, x.repeat(500, 1, 1, 1)).values()) for _ in range(4)]
    spread = float(weights.std()) / math.sqrt(len(weights))
    assert model.vitals()["posterior_nats"] > 1
    assert float(weights.mean()) == pytest.approx(-sum(map(float, losses)) / 4, abs=6 * spread)


def test_the_bound_nears_what_draws_from_the_prior_say():
    """p(x) = E p(x | z) over the prior, without any posterior."""
    model, x = moved(), halves(2)
    with torch.no_grad():
        found = model.bound(x, {}, 150)
        out = model._down({}, 8_000, lambda i, h, p: p[0] + p[1].exp() * torch.randn_like(p[0]))
        said = torch.stack(
            [model.expected.log_prob(out, row.expand(len(out), 1, 8, 8)) for row in x]
        )
        wanted = said.double().logsumexp(1) - math.log(len(out))
        loose = torch.stack([model.bound(x, {}, 1)]).mean()
    assert torch.allclose(found.double(), wanted, atol=0.6)
    assert loose < found.mean()
    assert torch.equal(found, model.bound(x, {}, 150))


def test_free_bits_and_beta():
    x = halves(4)
    assert terms_of(Hvae(BITS, {}, net=small, free_bits=1.5), x)["rate"].item() == pytest.approx(3)
    whole, half = (terms_of(moved(anneal=a, beta=2.0), x)["rate"] for a in (0.0, 1.0))
    assert half.item() == pytest.approx(whole.item() / 2, rel=0.2)


def test_decoding_a_code_reads_it_as_it_was_written():
    model, x = moved(), halves(3)
    z = model.encode(x, {})
    assert z.shape == (3, sum(model.sizes))
    features = model.net.up(x)
    out = model._down({}, 3, lambda i, h, p: model.net.stage(i).posterior(h, features[i], p)[0])
    assert torch.allclose(model.decode(z, {}), model.expected.mean(out), atol=1e-5)
    assert isinstance(model, Latents) and isinstance(model, Likelihood)


def test_temperature_zero_draws_the_means():
    model = moved().eval()
    a, b = (list(model.sample_steps(Rng([s]), {}, temperature=0.0))[-1] for s in (1, 2))
    c = list(model.sample_steps(Rng([1]), {}))[-1]
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.mark.parametrize("spatial", [(16,), (8, 8, 8), (8, 12)])
def test_other_numbers_of_axes(spatial):
    model = Hvae(Real((2, *spatial)), {"label": Tokens((), 3)}, net=small).eval()
    x, cond = torch.randn(2, 2, *spatial), {"label": torch.tensor([0, 2])}
    assert model.log_prob(x, cond).shape == (2,)
    assert sample(model, 2, cond).shape == x.shape


def test_training_finds_both_halves():
    torch.manual_seed(0)
    model, steps = Hvae(BITS, {}, net=small), 120
    learner = Learner(model, merged(model.recommended, {"steps": steps, "lr": 5e-3}), steps)
    for i in range(steps):
        learner.step(i, [Micro(halves(8), {}, 0, 8, range(8))])
    with torch.no_grad():
        found = learner.sampler().log_prob(halves(2), {})  # the truth is ln(1/2) each
    assert (found > -8).all()
    x = sample(learner.sampler(), 40)
    sides = (x[..., 4:].mean((1, 2, 3)) > x[..., :4].mean((1, 2, 3))).float()
    assert 0.15 < sides.mean() < 0.85
