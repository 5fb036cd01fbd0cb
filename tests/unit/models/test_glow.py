"""Flows: the way back, the determinant, the density, what data start them with."""

import math
from functools import partial

import pytest
import torch
from tests.tiny import points
from torch import nn

from genloom.core import Latents, Likelihood, Real, Rng, Tokens
from genloom.errors import BadInput
from genloom.learner import Learner, Micro
from genloom.models.coupling import Mix, masks, scaled, squeeze, unsqueeze
from genloom.models.glow import Glow, realnvp
from genloom.nets.coupling import CouplingNet
from genloom.options import TrainOptions
from genloom.sampling import sample

LABEL = {"label": Tokens((), 3)}
SPACES = [Real((5,)), Real((3, 8)), Real((1, 4, 6)), Real((2, 3, 4, 2)), Real((2, 3, 3))]
small = partial(CouplingNet, width=24)
PRESETS = pytest.mark.parametrize("preset", [Glow, realnvp])


def stirred(model: nn.Module, amount: float = 0.2) -> nn.Module:
    """In float64, moved off the identity that a flow begins with."""
    torch.manual_seed(1)
    for p in model.parameters():
        p.data += amount * torch.randn_like(p)
    return model.double()


def data(space: Real, n: int = 4) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Data of a density, and labels; one of them hidden."""
    x = torch.randn(n, *space.shape, dtype=torch.float64)
    return x, {"label": torch.arange(n) % 4 - 1}


def jacobian(function, x: torch.Tensor) -> torch.Tensor:
    """Of one datum, as a square matrix."""
    found = torch.autograd.functional.jacobian(lambda v: function(v[None])[0].flatten(), x)
    return found.reshape(x.numel(), x.numel())


@PRESETS
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_way_back_is_the_inverse(preset, space):
    torch.manual_seed(0)
    model = preset(space, LABEL, steps=3)
    x, cond = data(space)
    model.prepare(x.float(), cond)
    single = model.decode(model.encode(x.float(), cond), cond)
    assert torch.allclose(single, x.float(), atol=1e-4)
    stirred(model)
    z = model.encode(x, cond)
    assert z.shape == (4, math.prod(space.shape)) and not torch.allclose(z, x.flatten(1))
    assert torch.allclose(model.decode(z, cond), x, atol=1e-9)
    assert torch.allclose(model.encode(model.decode(z, cond), cond), z, atol=1e-9)


@PRESETS
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_the_density_has_the_jacobians_determinant(preset, space):
    torch.manual_seed(0)
    model = stirred(preset(space, LABEL, steps=3))
    x, cond = data(space)
    normal = torch.distributions.Normal(0.0, 1.0)
    found = model.log_prob(x, cond).detach()
    for i in range(4):
        one = {"label": cond["label"][i : i + 1]}
        matrix = jacobian(lambda v, one=one: model.encode(v, one), x[i])
        z = model.encode(x[i : i + 1], one).detach()
        wanted = normal.log_prob(z).sum() + torch.linalg.slogdet(matrix).logabsdet
        assert float(found[i]) == pytest.approx(float(wanted), rel=1e-9, abs=1e-8)


def test_levels_are_spread_and_the_mass_has_the_jacobians_determinant():
    torch.manual_seed(0)
    space = Real((1, 2, 4), levels=4)
    model = stirred(Glow(space, {}, steps=2))
    x = torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0], dtype=torch.float64)[
        torch.randint(4, (3, 1, 2, 4))
    ]
    assert torch.allclose(model.decode(model.encode(x, {}), {}), x, atol=1e-9)

    def code(share):  # of [0, 1) to the noise, written anew
        y = (0.05 + 0.9 * share).logit()
        return model._flow(y.movedim(1, -1), {})[0]

    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(8):
        noise = torch.rand(x.shape, generator=generator).double()
        share = ((x + 1) * 1.5 + noise) / 4
        logs = []
        for one in share:
            log_det = torch.linalg.slogdet(jacobian(code, one)).logabsdet
            normal = torch.distributions.Normal(0.0, 1.0).log_prob(code(one[None])).sum()
            logs.append(normal + log_det - 8 * math.log(4))
        draws.append(torch.stack(logs).detach())
    wanted = torch.stack(draws).logsumexp(0) - math.log(8)
    assert torch.allclose(model.log_prob(x, {}), wanted, atol=1e-8)


def test_the_masses_of_all_data_add_up_to_less_than_one_and_nearly_so():
    torch.manual_seed(0)
    model = stirred(Glow(Real((2,), levels=8), {}, steps=3), 0.05)
    side = torch.linspace(-1, 1, 8, dtype=torch.float64)
    total = float(model.log_prob(torch.cartesian_prod(side, side), {}).exp().sum().detach())
    assert total == pytest.approx(1.0, abs=0.1)


@PRESETS
def test_the_density_integrates_to_one(preset):
    torch.manual_seed(0)
    model = stirred(preset(Real((2,)), LABEL, net=small, steps=3), 0.1)
    side = torch.linspace(-9, 9, 181, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        for label in (-1, 2):
            cond = {"label": torch.full((len(grid),), label)}
            mass = model.log_prob(grid, cond).exp().sum() * (side[1] - side[0]) ** 2
            assert float(mass) == pytest.approx(1.0, abs=1e-3)


def test_a_sample_is_the_way_back_from_the_noise():
    torch.manual_seed(0)
    model = stirred(Glow(Real((3, 4)), {}, steps=2)).float()
    noise = Rng([5, 6]).normal(12)
    drawn = sample(model, 2, seed=5)
    assert torch.allclose(model.encode(drawn, {}), noise, atol=1e-4)
    cool = sample(model, 2, seed=5, temperature=0.5)
    assert torch.allclose(model.encode(cool, {}), noise / 2, atol=1e-4)


def test_samples_of_levels_are_levels():
    torch.manual_seed(0)
    model = stirred(Glow(Real((1, 4, 4), levels=5), {}, steps=2)).float()
    drawn = sample(model, 20)
    assert set(drawn.unique().tolist()) <= {-1.0, -0.5, 0.0, 0.5, 1.0}
    assert len(drawn.unique()) > 2


@pytest.mark.parametrize("order", [None, [2, 0, 3, 1]])
def test_data_start_a_mix_with_zero_mean_and_unit_variance(order):
    torch.manual_seed(0)
    x = torch.randn(200, 3, 4) * torch.tensor([0.1, 1.0, 5.0, 2.0]) + torch.arange(4)
    mix = Mix(4, order)
    mix.prepare(x)
    matrix = scaled([mix])[0][0]
    std, mean = torch.std_mean(mix(x, matrix).flatten(0, 1), 0, correction=0)
    assert torch.allclose(mean, torch.zeros(4), atol=1e-5)
    assert torch.allclose(std, torch.ones(4), atol=1e-4)
    assert torch.allclose(mix.inverse(mix(x, matrix), matrix.inverse()), x, atol=1e-4)


def test_data_start_every_layer():
    torch.manual_seed(0)
    model = Glow(Real((2, 4, 4)), {}, steps=2)
    x = 3 * torch.randn(400, 2, 4, 4) + 7
    model.prepare(x, {})
    std, mean = torch.std_mean(model.encode(x, {}).detach())
    assert abs(float(mean)) < 0.01 and float(std) == pytest.approx(1.0, abs=0.01)
    with pytest.raises(BadInput, match="all data are equal"):
        model.prepare(torch.ones(4, 2, 4, 4), {})


def test_masks_are_checkerboards_then_halves_that_take_turns():
    orders = masks(8, 2, 4)  # two channels, blocks of 2x2
    now, passing = list(range(8)), []
    for order in orders:
        now = [now[i] for i in order]
        passing.append(set(now[:4]))
    assert passing == [{0, 1, 6, 7}, {2, 3, 4, 5}, {0, 1, 2, 3}, {4, 5, 6, 7}]


def test_a_squeeze_makes_channels_of_blocks():
    x = torch.arange(2 * 4 * 3 * 6 * 2).view(2, 4, 3, 6, 2)
    y = squeeze(x, (2, 1, 2))
    assert y.shape == (2, 2, 3, 3, 8)
    assert y[1, 0, 2, 1].tolist() == x[1, 0:2, 2, 2:4].flatten().tolist()
    assert torch.equal(unsqueeze(y, (2, 1, 2)), x)


def test_what_kind_of_likelihood_it_is_depends_on_the_space():
    exact, bound = Glow(Real((2,)), {}), Glow(Real((2,), levels=4), {})
    assert (exact.likelihood, bound.likelihood) == ("exact", "bound")
    assert isinstance(exact, Likelihood) and isinstance(exact, Latents)


def test_one_number_and_texts_are_refused():
    with pytest.raises(BadInput, match="gives it one"):
        Glow(Real((1,)), {})
    with pytest.raises(BadInput, match="labels and real vectors"):
        Glow(Real((2,)), {"text": Tokens((5,), 9)})


def test_coupling_nets_say_nothing_at_first_and_see_the_label_later():
    for shape in [(3,), (3, 4), (3, 4, 4), (3, 2, 2, 2)]:
        net = CouplingNet(shape, 6, LABEL, width=8)
        x = torch.randn(2, *shape)
        zeros = torch.zeros(2, 6, *shape[1:])
        assert torch.equal(net(x, {"label": torch.tensor([0, 1])}), zeros)
        nn.init.normal_(net.last.weight)
        one, other = (net(x, {"label": torch.tensor([k, k])}) for k in (0, 2))
        assert not torch.allclose(one, other)
        assert torch.equal(net(x, {}), net(x, {"label": torch.tensor([-1, -1])}))


def test_the_loss_is_the_density_a_dimension():
    torch.manual_seed(0)
    model = stirred(Glow(Real((4,)), LABEL, steps=2, drop=0.0))
    x, cond = data(model.space)
    wanted = -model.log_prob(x, cond).mean() / 4
    assert torch.allclose(model.loss(x, cond)["nll"], wanted)
    hidden = Glow(Real((4,)), LABEL, steps=2, drop=1.0)
    stirred(hidden).load_state_dict(model.state_dict())
    assert torch.allclose(hidden.loss(x, cond)["nll"], -model.log_prob(x, {}).mean() / 4)


@PRESETS
def test_it_learns_two_clusters(preset):
    torch.manual_seed(0)
    model = preset(Real((2,)), {}, net=small, steps=6)
    train, held_out = points(512), points(400, seed=1)
    model.prepare(train, {})
    before = float(-model.log_prob(held_out, {}).detach().mean())
    learner = Learner(model, TrainOptions(**{**model.recommended, "lr": 5e-3}), 300)
    for index in range(300):
        x = train[index % 4 :: 4]
        learner.step(index, [Micro(x, {}, 0, len(x), range(len(x)))])
    model = learner.sampler()
    after = float(-model.log_prob(held_out, {}).detach().mean())
    truth = math.log(2) + math.log(2 * math.pi * 0.09) + 1  # of two normal laws, hardly overlapping
    assert truth < after < truth + 0.4 < before
    drawn = sample(model, 200)
    near = (drawn.abs() - 2).norm(dim=1) < 1
    assert near.float().mean() > 0.9 and 60 < int((drawn[:, 0] > 0).sum()) < 140
