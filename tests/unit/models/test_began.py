"""BEGAN: its two losses, the balance between them, and that it learns."""

import copy
from functools import partial

import pytest
import torch

from genloom.core import Real, Step, Tokens
from genloom.learner import Learner, Micro
from genloom.models.began import Began
from genloom.nets.dense import mlp_coder
from genloom.options import TrainOptions
from genloom.sampling import sample

PIXELS = Real((1, 8, 8), levels=256)
LABEL = {"label": Tokens((), 3)}
small = partial(mlp_coder, width=16)


def batch(n: int = 8) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Data and labels."""
    return torch.rand(n, 1, 8, 8) * 2 - 1, {"label": torch.arange(n) % 3}


def micros(x, cond, parts: int) -> list[Micro]:
    """A batch in so many parts."""
    size = len(x) // parts
    return [
        Micro(
            x[i : i + size], {k: v[i : i + size] for k, v in cond.items()}, i, len(x), range(size)
        )
        for i in range(0, len(x), size)
    ]


def test_the_losses_are_absolute_errors_and_k_weighs_the_samples():
    model, (x, cond) = Began(PIXELS, LABEL, net=small, latent=4, drop=0.0), batch()
    model.k.fill_(0.3)
    torch.manual_seed(5)
    turns = model.losses(x, cond, Step(0, 9))
    _, first = next(turns)
    _, second = next(turns)
    torch.manual_seed(5)
    with torch.no_grad():
        fake = model.generator(torch.rand(8, 4) * 2 - 1, cond)
        data, samples = ((v - model.discriminator(v, cond)).abs().mean() for v in (x, fake))
    torch.testing.assert_close(first["data"], data)
    torch.testing.assert_close(first["samples"], -0.3 * samples)
    torch.testing.assert_close(second["generator"], samples)


def test_k_moves_by_what_lacks_to_the_balance():
    model, x = Began(PIXELS, {}, net=small, latent=4, gamma=0.7, rate=0.1), batch()[0]
    model.k.fill_(0.3)
    assert model.vitals() == {}
    terms = dict(model.losses(x, {}, Step(0, 9)))
    real, fake = terms["discriminator"]["data"].item(), terms["generator"]["generator"].item()
    assert model.k.item() == pytest.approx(0.3 + 0.1 * (0.7 * real - fake), abs=1e-6)
    measure = model.vitals()["convergence"].item()
    assert measure == pytest.approx(real + abs(0.7 * real - fake), rel=1e-5)


def test_k_stays_a_share():
    model = Began(PIXELS, {}, net=small, rate=100.0)
    for real, fake, k, measure in ((1.0, 0.0, 1.0, 1.5), (0.0, 1.0, 0.0, 1.0)):
        model._balance(torch.tensor(real), torch.tensor(fake))
        assert model.k.item() == k
        assert model.measure.item() == measure


def test_a_yield_moves_only_its_player():
    model, (x, cond) = Began(PIXELS, LABEL, latent=4), batch()
    for player, terms in model.losses(x, cond, Step(0, 9)):
        other = {"discriminator": "generator", "generator": "discriminator"}[player]
        total = torch.stack(list(terms.values())).sum()
        foreign = list(model.get_submodule(other).parameters())
        grads = torch.autograd.grad(total, foreign, retain_graph=True, allow_unused=True)
        assert all(g is None for g in grads)
        own = list(model.get_submodule(player).parameters())
        assert all(g is not None for g in torch.autograd.grad(total, own, allow_unused=True))
    assert all(p.requires_grad for p in model.parameters())


def test_micro_batches_equal_the_batch_with_the_balance():
    torch.manual_seed(0)
    start, found = Began(PIXELS, LABEL, latent=4, rate=1.0), []
    data = [batch() for _ in range(6)]
    for parts in (1, 4):
        model = copy.deepcopy(start)
        choices = TrainOptions(lr=1e-3, eps=1e-3, schedule="constant", warmup=0.0)
        learner = Learner(model, choices, 6)
        for index, (x, cond) in enumerate(data):
            learner.step(index, micros(x, cond, parts))
        found.append(model.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], atol=2e-6, rtol=1e-4, msg=name)
    assert found[0]["k"] > 0.01


def test_it_learns_where_points_lie():
    torch.manual_seed(0)
    model = Began(Real((2,)), {}, net=partial(mlp_coder, width=32), latent=2)
    learner = Learner(model, TrainOptions(lr=2e-3, beta1=0.5, clip=None, ema=None), 400)
    centre = torch.tensor([1.0, -1.0])
    for index in range(400):
        learner.step(index, micros(torch.randn(64, 2) * 0.2 + centre, {}, 1))
    found = sample(model, 256, batch=256)
    torch.testing.assert_close(found.mean(0), centre, atol=0.3, rtol=0)
