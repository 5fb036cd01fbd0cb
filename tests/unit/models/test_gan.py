"""GAN: exact losses and penalties, whose weights move, what a step costs, presets."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn

from genloom.core import Real, Step, Tokens
from genloom.errors import BadInput
from genloom.learner import Learner, Micro
from genloom.models.adversarial import LOSSES, Tally, frozen, overlap, zero_centred
from genloom.models.gan import Gan, truncated
from genloom.models.gan_presets import biggan, dcgan, lsgan, mlp_gan, sngan, wgan, wgan_gp
from genloom.nets.dcgan import dcgan_players
from genloom.nets.dense import mlp_players
from genloom.options import TrainOptions
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
    r, f, sp = torch.tensor(2.0), torch.tensor(-1.0), math.log1p(math.exp(-3.0))
    table = {
        "rp": (sp, 3 + sp),
        "ns": (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)), math.log1p(math.e)),
        "mm": (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)), -math.log1p(math.exp(-1))),
        "hinge": (0.0, 1.0),
        "ls": (1.0, 2.0),
        "wgan": (-3.0, 1.0),
    }
    assert table.keys() == LOSSES.keys()
    for name, expected in table.items():
        found = [loss(r, f).item() for loss in LOSSES[name]]
        assert found == pytest.approx(expected, rel=1e-5), name


PRESETS = [Gan, mlp_gan, dcgan, lsgan, *(partial(f, turns=1) for f in (wgan, wgan_gp))]


def test_minimax_is_the_value_of_the_game():
    """log D(x) + log(1 - D(G(z))) with D = sigmoid(logit): one side raises it, one lowers it."""
    r, f = torch.randn(2, 50, dtype=torch.float64)
    value = torch.sigmoid(r).log() + (1 - torch.sigmoid(f)).log()
    judge, please = LOSSES["mm"]
    torch.testing.assert_close(judge(r, f), -value)
    f.requires_grad_()
    (ours,) = torch.autograd.grad(please(r, f).sum(), f)
    (theirs,) = torch.autograd.grad((1 - torch.sigmoid(f)).log().sum(), f)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "make", [*PRESETS, *(partial(f, turns=1, width=2) for f in (sngan, biggan))]
)
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


@pytest.mark.parametrize("loss", LOSSES)
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
    vitals = model.vitals()
    assert vitals["wasserstein"].item() == pytest.approx(-terms["discriminator"])
    assert not {"discriminator_gap", "overfit"} & set(vitals)  # no logits: their alarms say nothing
    other = Gan(PIXELS, {}, net=linear_players, loss="ns", penalty="none")
    follow(other, x, {}, lr=0)
    assert {"discriminator_gap", "overfit"} <= set(other.vitals())


def test_samples_do_not_depend_on_their_neighbours():
    model = dcgan(PIXELS, LABEL, latent=4, width=4)
    follow(model, *batch())  # so that the running statistics are not those of a new net
    cond = {"label": torch.tensor([0, 1, 2, 0])}
    together, alone = (sample(model, 4, cond, batch=n) for n in (4, 1))
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    assert model.generator.training


def test_truncation_gives_the_truncated_normal_law():
    truncnorm = pytest.importorskip("scipy.stats").truncnorm
    z = torch.linspace(-4, 4, 41, dtype=torch.float64)
    found = truncated(z, 0.7)
    rank = torch.special.ndtr(z)
    expected = torch.from_numpy(truncnorm(-0.7, 0.7).ppf(rank.numpy()))
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-7)
    assert found.abs().max() <= 0.7


def test_truncation_is_an_option_of_sampling():
    model = Gan(PIXELS, LABEL, net=small)
    assert torch.equal(*(sample(model, 2, truncation=0.0)[i] for i in (0, 1)))
    whole, wide, narrow = (sample(model, 2, truncation=t) for t in (6.0, 5.9, 0.5))
    torch.testing.assert_close(whole, wide, atol=1e-3, rtol=1e-3)
    assert torch.equal(whole, sample(model, 2)) and not torch.allclose(narrow, whole, atol=1e-2)


def test_clipping_follows_the_update_of_the_critic():
    model, x = Gan(PIXELS, {}, net=small, loss="wgan", penalty="clip", bound=0.02), batch()[0]
    turns = model.losses(x, {}, Step(0, 9))
    _, terms = next(turns)
    assert set(terms) == {"discriminator"}
    before = [p.detach().clone() for p in model.generator.parameters()]
    for p in model.discriminator.parameters():
        p.data.fill_(3.0)
    next(turns)
    assert all(bool((p == 0.02).all()) for p in model.discriminator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, model.generator.parameters()))


def test_overlap_is_zero_for_orthogonal_filters_alone():
    conv, back = nn.Conv2d(3, 4, 2), nn.ConvTranspose2d(3, 4, 2)
    nn.init.orthogonal_(conv.weight)
    torch.testing.assert_close(overlap(conv), torch.zeros(()), atol=1e-8, rtol=0)
    rows = back.weight.detach().transpose(0, 1).flatten(1)
    expected = ((rows @ rows.T) * (1 - torch.eye(4))).square().sum()
    torch.testing.assert_close(overlap(back).detach(), expected)
    tall = nn.Linear(2, 5)
    gram = tall.weight @ tall.weight.T
    torch.testing.assert_close(overlap(tall), gram.fill_diagonal_(0).square().sum())
    assert expected > 0.01


def test_the_generator_pays_for_overlap():
    plain = biggan(PIXELS, {}, width=2, latent=6, turns=1, orthogonal=0.0)
    model = biggan(PIXELS, {}, width=2, latent=6, turns=1, orthogonal=0.5)
    x = batch()[0]
    assert set(follow(plain, x, {}, lr=0)["generator"]) == {"generator"}
    terms = follow(model, x, {}, lr=0)["generator"]
    assert terms["orthogonal"] == pytest.approx(0.5 * overlap(model.generator).item(), rel=1e-5)


def accumulated(model: Gan, parts: int, steps: int = 8) -> Gan:
    """A copy after some steps on batches of 8 in so many micro-batches."""
    torch.manual_seed(1)
    model, size = copy.deepcopy(model), 8 // parts
    choices = TrainOptions(lr=1e-3, eps=1e-3, schedule="constant", warmup=0.0)
    learner = Learner(model, choices, steps)
    for index in range(steps):
        x, cond = batch(8)
        micros = [
            Micro(x[i : i + size], {"label": cond["label"][i : i + size]}, i, 8, range(size))
            for i in range(0, 8, size)
        ]
        learner.step(index, micros)
    return model


@pytest.mark.parametrize("make", [sngan, biggan])
def test_micro_batches_equal_the_batch(make):
    """With adaptive augmentation and power iteration, which both have a state of their own."""
    chosen = {"augment": "translation+cutout", "adaptive": 0.0, "turns": 1}
    model = make(PIXELS, LABEL, width=2, latent=6, **chosen)
    model.adaptive.p.fill_(0.5)
    whole, split = (accumulated(model, parts) for parts in (1, 4))
    for (name, a), b in zip(whole.state_dict().items(), split.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=1e-4, msg=name)
    assert whole.adaptive.p != 0.5


def test_power_iteration_moves_once_a_step_and_not_in_sampling():
    model, (x, cond) = sngan(PIXELS, LABEL, width=2, latent=4, turns=1), batch()
    u = next(v for k, v in model.discriminator.state_dict().items() if k.endswith("0.u"))
    turns = model.losses(x, cond, Step(0, 9))
    first = u.clone()
    next(turns)
    assert torch.equal(u, first)
    for p in model.discriminator.parameters():
        p.data += 0.1 * torch.randn_like(p)
    next(turns)
    second = u.clone()
    assert not torch.equal(second, first)
    assert next(turns, None) is None
    sample(model, 2)
    assert torch.equal(u, second)


@pytest.mark.parametrize(("sign", "way"), [(1.0, 1), (-1.0, -1)])
def test_adaptive_augmentation_follows_the_sign_on_data(sign, way):
    model = Gan(
        PIXELS, {}, net=linear_players, loss="ns", penalty="none",
        augment="translation", adaptive=0.6,
    )  # fmt: skip
    model.adaptive.p.fill_(0.5)
    model.discriminator.weight.data.fill_(sign)
    model.discriminator.weight.requires_grad_(False)
    seen = []
    for index in range(8):
        for _ in model.losses(torch.full((4, 1, 8, 8), 1.0), {}, Step(index, 800)):
            pass
        seen.append(model.adaptive.p.item())
    expected = [0.5] * 3 + [0.5 + way * 0.05] * 4 + [0.5 + way * 0.1]
    assert seen == pytest.approx(expected)


def test_a_tally_is_the_mean_over_rows_and_is_taken_once():
    tally = Tally(2)
    tally.add(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]))
    tally.add(torch.tensor([8.0]), torch.tensor([3.0]))
    torch.testing.assert_close(tally.take(), torch.tensor([4.0, 1.0]))
    assert tally.take() is None


def test_vitals_tell_of_overfitting_and_collapse():
    model, x = Gan(PIXELS, {}, net=linear_players, loss="ns", penalty="none"), batch()[0]
    model.discriminator.weight.data.fill_(1.0)
    follow(model, x.abs(), {}, lr=0)
    assert model.vitals()["overfit"].item() == 1
    follow(model, -x.abs(), {}, lr=0)
    assert model.vitals()["overfit"].item() == -1
    model.shown = x, 0.25 * x
    assert model.vitals()["batch_diversity"].item() == pytest.approx(0.25)


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
    with pytest.raises(BadInput, match="nothing to adapt"):
        Gan(PIXELS, {}, adaptive=0.6)
