"""MeanFlow: its identity, the derivative it needs, guidance, and that one step is enough."""

import pytest
import torch
from tests.tiny import points
from torch import nn

from genloom.core import Real, Tokens
from genloom.errors import BadInput
from genloom.learner import Learner, Micro
from genloom.models.meanflow import FEATURES, MeanFlow
from genloom.nets.embed import Dropout
from genloom.nets.mlp import Mlp
from genloom.options import TrainOptions
from genloom.sampling import sample

LABEL = {"label": Tokens((), 3)}


class Exact(nn.Module):
    """The average velocity of data N(centre, width^2), whose path is known in closed form.

    z_t has deviation s(t) = sqrt((1 - t)^2 width^2 + t^2); the flow keeps (z - m(t)) / s(t), with
    m(t) = (1 - t) centre. So z_r = m(r) + s(r) / s(t) (z_t - m(t)) and u = (z_t - z_r) / (t - r).
    """

    def __init__(self, centre: float = 0.0, width: float = 1.0):
        super().__init__()
        self.centre, self.width = centre, width

    def forward(self, z, r, t):
        def s(time):
            return ((1 - time) ** 2 * self.width**2 + time**2).sqrt()

        r, t = r[:, None], t[:, None]
        near = (t - r).abs() < 1e-4
        r = torch.where(near, t - 1e-4, r)
        path = (1 - r) * self.centre + s(r) / s(t) * (z - (1 - t) * self.centre)
        return (z - path) / (t - r)


def exact(model: MeanFlow, law: Exact) -> MeanFlow:
    """The model with a known velocity in the place of its net's."""
    model.velocity = lambda z, r, t, cond: law(z, r, t)  # pyright: ignore
    return model


def small(conditions=LABEL, **options) -> MeanFlow:
    """Two dimensions, a small net that is moved off its zero start."""
    torch.manual_seed(0)
    model = MeanFlow(Real((2,)), conditions, **options)
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return model


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_any_number_of_steps_of_the_exact_velocity_gives_the_data(steps):
    model = exact(small().double(), Exact(3.0, 0.5))
    x = sample(model, 4, steps=steps)
    noise = sample(exact(small().double(), Exact(0.0, 1.0)), 4, steps=1)  # s(0) = s(1): the noise
    assert torch.allclose(x, 3 + 0.5 * noise, atol=1e-6)


def test_the_exact_average_velocity_fulfils_the_identity():
    """u = E[v | z] - (t - r) du/dt: Eq. 6 of the article, with our derivative along the path."""
    law = Exact(1.0, 0.5)
    model = exact(small().double(), law)
    z = torch.randn(50, 2, dtype=torch.float64)
    r = torch.rand(50, dtype=torch.float64) * 0.4 + 0.05
    t = r + torch.rand(50, dtype=torch.float64) * 0.4 + 0.1
    v = law(z, t, t)
    wanted = v - (t - r)[:, None] * model._derivative(z, v, r, t, {})
    assert torch.allclose(law(z, r, t), wanted, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.torch.jit.script")  # torch's own
def test_the_derivative_is_the_jacobian_vector_product():
    model = small()
    z, v = torch.randn(6, 2), torch.randn(6, 2)
    t = torch.rand(6) * 0.8 + 0.1
    r = t * torch.rand(6)
    cond = {"label": torch.arange(6) % 3}
    with torch.no_grad():
        found = model._derivative(z, v, r, t, cond)
        _, wanted = torch.func.jvp(
            lambda z, t: model.velocity(z, r, t, cond), (z, t), (v, torch.ones_like(t))
        )
    assert float(wanted.norm()) > 0.1
    assert float((found - wanted).norm() / wanted.norm()) < 0.02


def test_dropout_is_off_in_the_derivative_alone():
    torch.manual_seed(0)
    model = MeanFlow(Real((2,)), {}, net=lambda *a: Mlp(*a, width=16, dropout=0.5))
    seen = []
    for part in model.modules():
        if isinstance(part, Dropout):
            part.register_forward_hook(lambda m, *_: seen.append(m.training))
    model.train().loss(torch.randn(4, 2), {})
    assert seen == [False] * 6 + [True] * 3 and model.training


def test_the_loss_is_the_weighted_error_of_the_target():
    model = small({}, power=1.0, share=0.0)
    torch.manual_seed(3)
    value = float(model.loss(torch.randn(64, 2), {})["velocity"].detach())
    assert 0.5 < value < 1  # error / (error + c): nearly 1 where the error is above c
    plain = small({}, power=0.0, share=0.0)
    nn.init.zeros_(plain.net.last.weight)
    nn.init.zeros_(plain.net.last.bias)
    plain.std.fill_(2.0)
    torch.manual_seed(3)
    x = 2 * torch.randn(4096, 2)
    assert float(plain.loss(x, {})["velocity"].detach()) == pytest.approx(2.0, rel=0.05)


def test_times_are_ordered_and_some_are_equal():
    model = small(share=0.7)
    t, r = model._times(torch.zeros(1000, 2))
    assert (r <= t).all() and t.min() > 0 and t.max() < 1
    assert int((r < t).sum()) == pytest.approx(700, abs=60)
    assert float(t.quantile(0.99)) > 0.9  # sampling begins at 1


def test_guidance_moves_the_target_of_rows_whose_label_is_seen():
    model = small(guidance=3.0)
    z, v, t = torch.randn(3, 2), torch.randn(3, 2), torch.full((3,), 0.5)
    cond = {"label": torch.tensor([2, -1, 0])}
    with torch.no_grad():
        found = model._guided(z, v, t, cond)
        blind = model.velocity(z, t, t, {})
    assert torch.allclose(found[[0, 2]], (blind + 3 * (v - blind))[[0, 2]], atol=1e-5)
    assert torch.equal(found[1], v[1])


def test_the_net_is_told_both_times():
    model = small()
    z, half = torch.randn(2, 2), torch.full((2,), 0.5)
    u = model.velocity(z, half, half, {})
    assert not torch.allclose(u, model.velocity(z, half / 2, half, {}))
    assert not torch.allclose(u, model.velocity(z, half * 1.2, half * 1.2, {}))
    assert model.net.vector.parts["span"].map.in_features == FEATURES
    with pytest.raises(BadInput, match="Rename it"):
        MeanFlow(Real((2,)), {"span": Real((1,))})


def test_one_step_finds_both_clusters():
    torch.manual_seed(0)
    model = MeanFlow(Real((2,)), {}, net=lambda *a: Mlp(*a, width=64, high=16.0))
    train = points(1024)
    model.prepare(train, {})
    learner = Learner(model, TrainOptions(**model.recommended), 500)
    for index in range(500):
        x = train[index % 8 :: 8]
        learner.step(index, [Micro(x, {}, 0, len(x), range(len(x)))])
    drawn = sample(learner.sampler(), 200, steps=1)
    near = (drawn.abs() - 2).norm(dim=1) < 1
    assert near.float().mean() > 0.8 and 60 < int((drawn[:, 0] > 0).sum()) < 140
