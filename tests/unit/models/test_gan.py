"""GAN: exact penalties, whose weights move, what a step costs, presets."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from genloom.core import Real, Step, Tokens
from genloom.errors import BadInput
from genloom.models.gan import Gan, dcgan, frozen, lsgan, mlp_gan, wgan_gp, zero_centred
from genloom.nets.dcgan import dcgan_players
from genloom.nets.dense import mlp_players
from genloom.sampling import sample

PIXELS = Real((1, 8, 8), levels=256)
LABEL = {"label": Tokens((), 3)}
small = partial(mlp_players, width=16)


def batch(n: int = 6) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Data and labels."""
    return torch.rand(n, 1, 8, 8) * 2 - 1, {"label": torch.arange(n) % 3}


class Linear(nn.Module):
    """A discriminator whose gradient is known."""

    def __init__(self, features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features))

    def forward(self, x, cond):
        return x.flatten(1) @ self.weight


def linear_players(space, latent, conditions):
    """An MLP generator against a linear discriminator."""
    return small(space, latent, conditions)[0], Linear(math.prod(space.shape))


def trainable(model: Gan, player: str) -> list[torch.Tensor]:
    """What a player's optimizer moves."""
    return [p for p in model.get_submodule(player).parameters() if p.requires_grad]


def follow(model: Gan, x, cond, lr=0.1) -> dict[str, dict[str, float]]:
    """One step of SGD for each player, as the trainer plays it; the terms of each."""
    seen = {}
    for player, terms in model.losses(x, cond, Step(0, 10)):
        weights = trainable(model, player)
        total = torch.stack(list(terms.values())).sum()
        for p, grad in zip(weights, torch.autograd.grad(total, weights)):
            p.data -= lr * grad
        seen[player] = {name: term.item() for name, term in terms.items()}
    return seen


def test_r1_of_a_linear_discriminator_is_its_squared_norm():
    players = Linear(64)
    x = torch.randn(5, 1, 8, 8).requires_grad_()
    expected = players.weight.square().sum().expand(5)
    torch.testing.assert_close(zero_centred(x, players(x, {})), expected)


@pytest.mark.parametrize("penalty", ["r1", "r1r2"])
def test_the_terms_carry_gamma_over_two(penalty):
    model = Gan(PIXELS, {}, net=linear_players, penalty=penalty, gamma=0.6, burn_in=0.0)
    expected = 0.3 * model.discriminator.weight.square().sum().item()
    terms = follow(model, batch()[0], {}, lr=0)["discriminator"]
    assert terms["r1"] == pytest.approx(expected, rel=1e-5)
    assert terms.get("r2", expected) == pytest.approx(expected, rel=1e-5)
    assert ("r2" in terms) == (penalty == "r1r2")


def test_gradient_penalty_of_a_linear_critic():
    model = Gan(PIXELS, {}, net=linear_players, loss="wgan", penalty="gp")
    norm = model.discriminator.weight.norm().item()
    terms = follow(model, batch()[0], {}, lr=0)["discriminator"]
    assert terms["gp"] == pytest.approx(10 * (norm - 1) ** 2, rel=1e-4)


def test_a_lazy_penalty_keeps_its_weight_on_average():
    model = Gan(PIXELS, {}, net=linear_players, gamma=0.6, burn_in=0.0, lazy=3)
    expected = 3 * 0.3 * model.discriminator.weight.square().sum().item()
    found = [dict(model.losses(batch()[0], {}, Step(i, 9)))["discriminator"] for i in range(4)]
    assert [("r1" in terms) for terms in found] == [True, False, False, True]
    assert found[0]["r1"].item() == pytest.approx(expected, rel=1e-5)


def test_gamma_falls_along_a_cosine_to_its_value():
    model = Gan(PIXELS, {}, net=small, gamma=0.2, burn_in=0.5)
    found = [model._gamma(Step(i, 100)) for i in (0, 10, 25, 50, 99)]
    assert found == pytest.approx([2.0, 0.2 + 0.9 * (1 + math.cos(math.pi / 5)), 1.1, 0.2, 0.2])


def test_losses_at_known_logits():
    from genloom.models.gan import LOSSES

    r, f, sp = torch.tensor(2.0), torch.tensor(-1.0), math.log1p(math.exp(-3.0))
    table = {
        "rp": (sp, 3 + sp),
        "ns": (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)), math.log1p(math.e)),
        "hinge": (0.0, 1.0),
        "ls": (1.0, 2.0),
        "wgan": (-3.0, 1.0),
    }
    for name, expected in table.items():
        found = [loss(r, f).item() for loss in LOSSES[name]]
        assert found == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize("make", [Gan, mlp_gan, dcgan, lsgan, partial(wgan_gp, turns=1)])
def test_a_yield_moves_only_its_player(make):
    model, (x, cond) = make(PIXELS, LABEL, latent=4), batch()
    trained = [p.requires_grad for p in model.parameters()]
    steps = model.losses(x, cond, Step(0, 10))
    for player, other in (("discriminator", "generator"), ("generator", "discriminator")):
        name, terms = next(steps)
        assert name == player
        total = torch.stack(list(terms.values())).sum()
        foreign = trainable(model, other)
        grads = torch.autograd.grad(total, foreign, retain_graph=True, allow_unused=True)
        assert all(g is None for g in grads), f"{player}'s loss reaches {other}"
        own = trainable(model, player)
        assert all(g is not None for g in torch.autograd.grad(total, own, allow_unused=True))
    assert next(steps, None) is None
    assert [p.requires_grad for p in model.parameters()] == trained


@pytest.mark.parametrize("loss", ["rp", "ns", "hinge", "ls", "wgan"])
def test_an_offset_that_pairs_cannot_see_is_not_trained(loss):
    model = Gan(PIXELS, LABEL, loss=loss, penalty="none")
    fixed = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert fixed == (["discriminator.head.linear.bias"] if loss == "rp" else [])


def test_the_generator_plays_every_fifth_step_and_costs_nothing_before():
    model, (x, cond) = wgan_gp(PIXELS, LABEL, latent=4, width=4), batch()
    made = []
    model.generator.register_forward_hook(lambda *a: made.append(a[-1].requires_grad))
    turns = [[name for name, _ in model.losses(x, cond, Step(i, 10))] for i in range(10)]
    assert [len(t) for t in turns] == [1, 1, 1, 1, 2] * 2
    assert made == [False, False, False, False, True] * 2


def test_the_generator_meets_the_updated_discriminator():
    model, x = Gan(PIXELS, {}, net=linear_players, loss="wgan", penalty="none"), batch()[0]
    steps = model.losses(x, {}, Step(0, 10))
    next(steps)
    model.discriminator.weight.data.zero_()
    _, terms = next(steps)
    assert terms["generator"].item() == 0


def test_frozen_puts_back_what_it_found():
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    with pytest.raises(RuntimeError, match="stop"), frozen(net):
        assert not net.weight.requires_grad
        raise RuntimeError("stop")
    assert net.weight.requires_grad and not net.bias.requires_grad


def test_the_gap_is_that_of_the_last_turn():
    model, x = Gan(PIXELS, {}, net=linear_players, loss="wgan", penalty="none"), batch()[0]
    assert model.vitals() == {}
    terms = follow(model, x, {}, lr=0)["discriminator"]
    assert model.vitals()["discriminator_gap"].item() == pytest.approx(-terms["discriminator"])


def test_samples_do_not_depend_on_their_neighbours():
    model = dcgan(PIXELS, LABEL, latent=4, width=4)
    follow(model, *batch())  # so that the running statistics are not those of a new net
    cond = {"label": torch.tensor([0, 1, 2, 0])}
    together, alone = (sample(model, 4, cond, batch=n) for n in (4, 1))
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    assert model.generator.training


def test_truncation_scales_the_noise():
    model = Gan(PIXELS, LABEL, net=small)
    assert torch.equal(*(sample(model, 2, truncation=0.0)[i] for i in (0, 1)))
    assert not torch.equal(*(sample(model, 2)[i] for i in (0, 1)))


def test_it_learns_where_points_lie():
    torch.manual_seed(0)
    model = Gan(Real((2,)), {}, net=partial(mlp_players, width=32), latent=4)
    optimizers = {
        p: torch.optim.Adam(model.get_submodule(p).parameters(), 2e-3, (0.0, 0.9))
        for p in model.players
    }
    for i in range(300):
        x = torch.randn(64, 2) * 0.2 + torch.tensor([1.0, -1.0])
        for player, terms in model.losses(x, {}, Step(i, 300)):
            weights = trainable(model, player)
            torch.stack(list(terms.values())).sum().backward(inputs=weights)
            optimizers[player].step()
            optimizers[player].zero_grad()
    mean = sample(model, 256, batch=256).mean(0)
    torch.testing.assert_close(mean, torch.tensor([1.0, -1.0]), atol=0.3, rtol=0)


def test_augmentation_is_for_pictures():
    with pytest.raises(BadInput, match="translation"):
        Gan(Real((2,)), {}, augment="translation")
    model = Gan(
        PIXELS,
        {},
        net=partial(dcgan_players, width=4, batchnorm=False),
        augment="translation+cutout",
    )
    terms = follow(model, batch()[0], {})
    assert all(math.isfinite(v) for t in terms.values() for v in t.values())
