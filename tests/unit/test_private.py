"""Private gradients: bounded, summed, noisy; and the accountant beside others' numbers."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from torch import nn

from genloom.core import Generative, uniform
from genloom.errors import BadInput
from genloom.private import check, clipped, epsilon, gradient, noise_for, poisson, renyi
from tests.tiny import PLANE, TinyFlow, TinyGan, points


class Fit(Generative):
    """A loss without draws, so that rows add up exactly."""

    def __init__(self, space=PLANE, conditions=None, *, batch_norm=False, counts=False):
        super().__init__(space, conditions or {})
        self.net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.unused = nn.Parameter(torch.ones(3))
        self.fixed = nn.Parameter(torch.ones(1), requires_grad=False)
        self.norm = nn.BatchNorm1d(2) if batch_norm else nn.Identity()
        self.counts = counts
        self.register_buffer("mean", torch.zeros(2))

    def loss(self, x, cond):
        if self.counts:
            self.mean += x.detach().mean(0)
        return {"square": (self.net(self.norm(x)) * self.scale - x).square().sum(1).mean()}

    def sample_steps(self, rng, cond):
        yield rng.normal(2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Fit()


def norm(grads) -> float:
    return float(torch.nn.utils.get_total_norm(list(grads.values())))


def flat(grads):
    return torch.cat([g.flatten() for g in grads.values()])


def test_without_clipping_the_sum_is_that_of_the_batch(model):
    x = points(7)
    total, norms = clipped(model, x, {}, clip=1e9)
    (model.loss(x, {})["square"] * len(x)).backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            assert torch.allclose(total[name], p.grad, rtol=1e-5, atol=1e-6), name
    assert "fixed" not in total and not total["unused"].any() and len(norms) == 7


@pytest.mark.parametrize("clip", [0.01, 0.5, 1e6])
def test_one_row_gives_its_gradient_at_most_as_long_as_the_clip(model, clip):
    x = points(5)
    for i in range(5):
        total, norms = clipped(model, x[i : i + 1], {}, clip=clip)
        assert norm(total) == pytest.approx(min(clip, float(norms[0])), rel=1e-5)
        whole, _ = clipped(model, x[i : i + 1], {}, clip=1e9)
        assert torch.allclose(
            flat(total) / norm(total), flat(whole) / norm(whole), rtol=1e-4, atol=1e-6
        )


def test_adding_a_row_moves_the_sum_by_at_most_the_clip(model):
    x = points(12)
    x[3] *= 1e4  # an outlier moves it no further
    whole, norms = clipped(model, x, {}, clip=0.3)
    assert norms.max() > 100
    for i in range(12):
        rest, _ = clipped(model, torch.cat([x[:i], x[i + 1 :]]), {}, clip=0.3)
        assert float((flat(whole) - flat(rest)).norm()) <= 0.3 * (1 + 1e-4)


def test_the_noise_has_the_deviation_that_the_accountant_counts():
    big = Fit()
    big.unused = nn.Parameter(torch.ones(40_000))
    stream = torch.Generator().manual_seed(0)
    found = gradient(big, points(4), {}, clip=0.5, noise=3.0, expected=10.0, generator=stream)[
        "unused"
    ]
    assert found.std().item() == pytest.approx(3.0 * 0.5 / 10, rel=0.02)
    assert abs(found.mean().item()) < 5 * 0.15 / 200
    still = gradient(big, points(4), {}, clip=0.5, noise=0.0, expected=10.0)
    total, _ = clipped(big, points(4), {}, clip=0.5)
    assert torch.allclose(flat(still), flat(total) / 10)


def test_an_empty_batch_is_noise_alone_and_unseeded_noise_is_new_each_time(model):
    a, b = (gradient(model, points(0), {}, clip=1.0, noise=1.0, expected=4.0) for _ in range(2))
    assert norm(a) > 0 and not torch.equal(flat(a), flat(b))
    torch.manual_seed(1)
    c = gradient(model, points(0), {}, clip=1.0, noise=1.0, expected=4.0)
    torch.manual_seed(1)
    d = gradient(model, points(0), {}, clip=1.0, noise=1.0, expected=4.0)
    assert not torch.equal(flat(c), flat(d))


def test_what_mixes_rows_or_keeps_them_is_refused(model):
    with pytest.raises(BadInput, match="TinyGan has 2 players"):
        check(TinyGan(PLANE))
    with pytest.raises(BadInput, match="'norm' normalizes over the batch"):
        clipped(Fit(batch_norm=True), points(4), {}, clip=1.0)
    with pytest.raises(BadInput, match="writes what it sees of the data to 'mean'"):
        clipped(Fit(counts=True), points(4), {}, clip=1.0)
    for clip in (0.0, math.inf, math.nan):
        with pytest.raises(BadInput, match=f"clip = {clip}"):
            clipped(model, points(4), {}, clip=clip)


def test_conditions_go_with_their_rows():
    torch.manual_seed(0)
    model = TinyFlow(PLANE)
    x, label = points(3), torch.tensor([0, 1, 5])
    torch.manual_seed(2)
    together, _ = clipped(model, x, {"label": label}, clip=1e9)
    torch.manual_seed(2)
    alone = [clipped(model, x[i : i + 1], {"label": label[i : i + 1]}, clip=1e9) for i in range(3)]
    assert torch.allclose(flat(together), sum(flat(g) for g, _ in alone), rtol=1e-4, atol=1e-5)


def test_poisson_rows_are_independent_coins():
    stream = torch.Generator().manual_seed(0)
    sizes, seen = [], torch.zeros(100)
    for _ in range(2000):
        rows = poisson(100, 0.1, stream)
        seen[rows] += 1
        sizes.append(len(rows))
    sizes = torch.tensor(sizes, dtype=torch.float64)
    assert sizes.mean().item() == pytest.approx(10, abs=0.3)
    assert sizes.var().item() == pytest.approx(9, rel=0.15)  # fixed batches have none
    assert (seen / 2000 - 0.1).abs().max() < 5 * math.sqrt(0.09 / 2000)


@pytest.mark.parametrize(
    ("noise", "rate", "order"), [(1.1, 0.01, 2), (0.8, 0.2, 6), (3.0, 0.5, 20)]
)
def test_the_divergence_is_the_integral_that_defines_it(noise, rate, order):
    """E_z ((1 - q) + q p1(z) / p0(z))^order, z ~ N(0, noise^2): Mironov et al., 2019, Eq. 6."""

    def inside(z):
        ratio = math.exp((2 * z - 1) / (2 * noise**2))
        weight = math.exp(-(z**2) / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))
        return weight * ((1 - rate) + rate * ratio) ** order

    total, _ = quad(inside, -30 * noise, order + 30 * noise, limit=400, points=[0, order])
    assert renyi(noise, rate, order) == pytest.approx(math.log(total) / (order - 1), rel=1e-6)


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "delta", "wanted"),
    [
        # Opacus 1.6.0, accountants.analysis.rdp, with the orders of `private.ORDERS`
        (256 / 60_000, 1.1, 14_062, 1e-5, 2.5969811785953),
        (0.01, 1.0, 1000, 1e-5, 2.107753075451561),
        (0.01, 4.0, 10_000, 1e-5, 1.0354900660362476),
        (0.1, 2.0, 500, 1e-6, 6.6968588549662895),
        (1.0, 10.0, 10, 1e-5, 1.3084972690274297),
        (0.05, 0.7, 100, 1e-4, 8.624012503870762),
    ],
)
def test_epsilon_is_that_of_opacus(rate, noise, steps, delta, wanted):
    assert epsilon(noise, rate, steps, delta) == pytest.approx(wanted, rel=1e-9)


def test_epsilon_goes_the_right_way():
    usual = epsilon(1.0, 0.01, 1000, 1e-5)
    assert epsilon(1.5, 0.01, 1000, 1e-5) < usual < epsilon(1.0, 0.01, 2000, 1e-5)
    assert epsilon(1.0, 0.01, 1000, 1e-4) < usual < epsilon(1.0, 0.02, 1000, 1e-5)
    assert epsilon(1.0, 0.0, 1000, 1e-5) == 0 == epsilon(1.0, 0.01, 0, 1e-5)
    assert epsilon(0.0, 0.01, 1, 1e-5) == math.inf
    for wrong in ((-1, 0.1, 1, 0.1), (1, 1.1, 1, 0.1), (1, 0.1, -1, 0.1), (1, 0.1, 1, 0.0)):
        with pytest.raises(BadInput, match="delta between 0 and 1"):
            epsilon(*wrong)


def test_the_noise_for_an_epsilon_keeps_it_and_little_less_would_not():
    noise = noise_for(3.0, 0.02, 500, 1e-5)
    assert epsilon(noise, 0.02, 500, 1e-5) <= 3 < epsilon(noise / 1.002, 0.02, 500, 1e-5)
    with pytest.raises(BadInput, match="allow a larger one"):
        noise_for(1e-9, 0.5, 10_000, 1e-9)
    with pytest.raises(BadInput, match="allow a larger one"):
        noise_for(0.0, 0.5, 10, 1e-5)


class Centre(Generative):
    """Learns the middle of the data."""

    def __init__(self):
        super().__init__(PLANE, {})
        self.middle = nn.Parameter(torch.zeros(2))

    def loss(self, x, cond):
        jitter = 0.01 * uniform(len(x), 2, device=x.device)
        return {"square": (x + jitter - self.middle).square().sum(1).mean()}

    def sample_steps(self, rng, cond):
        yield self.middle + rng.normal(2)


def test_private_steps_find_the_middle_of_the_data():
    model, x = Centre(), points(400) + torch.tensor([3.0, -1.0])
    stream = torch.Generator().manual_seed(0)
    for _ in range(60):
        rows = poisson(400, 0.05, stream)
        found = gradient(model, x[rows], {}, clip=4.0, noise=1.0, expected=20.0, generator=stream)
        with torch.no_grad():
            model.middle -= 0.1 * found["middle"]
    assert (model.middle.detach() - x.mean(0)).norm() < 0.8
    assert 1 < epsilon(1.0, 0.05, 60, 1e-3) < 4
