"""Brightness: what all places of a picture share is drawn anew only where nothing of it was left.

White and black pictures of 256x256, one in ten of them black. Their exact denoiser is a sigmoid of
the sum of all places, which noise of level 160 does not hide.
"""

import math

import pytest
import torch
from torch import nn

from genloom.core import Real, stratified
from genloom.errors import BadInput
from genloom.models.diffusion import Diffusion
from genloom.models.targets import TARGETS
from genloom.schedules import LAWS, PURE, is_table

SIDE, WHITE = 256, 0.9
MEAN, STD = 2 * WHITE - 1, 2 * math.sqrt(WHITE * (1 - WHITE))
PAIRS = [("v", "linear"), ("v", "cosine"), ("x0", "linear"), ("flow", "uniform")]


class Exact(nn.Module):
    """The net whose denoiser is the mean of white and black, weighed by what the picture shows."""

    target = "v"

    def __init__(self, *_):
        super().__init__()

    def brightness(self, x, r):
        """Of unit data, from the mean over all places; (B,) each."""
        white, black = (1 - MEAN) / STD, (-1 - MEAN) / STD
        odds = (white - black) * (x - (white + black) / 2) * SIDE**2 / r.square()
        return black + (white - black) * (odds + math.log(WHITE / (1 - WHITE))).sigmoid()

    def forward(self, z, t, cond):
        r = (4 * t.double()).exp()
        target = TARGETS[self.target][0](r[:, None, None, None].to(z))
        shared = z.mean((1, 2, 3)).double() / target.scale.double().flatten()
        y = self.brightness(shared, r).to(z)[:, None, None, None]
        return (y - target.from_input * z) / target.from_net


class Taught(Exact):
    """The same net, but what the picture shows is learned by a small perceptron."""

    def __init__(self, *_):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU())
        self.last = nn.Linear(32, 1)

    def brightness(self, x, r):
        clear = (SIDE / r).square()  # the odds follow from it and what is seen
        seen = torch.stack([x * clear, clear], 1).clamp(-15, 15).float() / 5
        p = self.last(self.mlp(seen))[:, 0].double().sigmoid()
        return (1 - MEAN) / STD * p + (-1 - MEAN) / STD * (1 - p)


def model_of(net, target, law):
    net.target = target
    model = Diffusion(Real((1, SIDE, SIDE)), {}, net=lambda *_: net, target=target, law=law)
    model.mean.fill_(MEAN), model.std.fill_(STD)
    return model


class Even:
    """Noise whose mean over all places is each of n equally likely values; one place is all.

    So a share is exact to 1 / n, and a picture costs one number.
    """

    def __init__(self, n):
        u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        self.start = (torch.special.ndtri(u) / SIDE).float()[:, None, None, None]

    def normal(self, *shape):
        assert shape == (1, SIDE, SIDE)
        return self.start


def black(model, steps=16):
    """The share of samples that are black, and the spread of brightness beside that of the data."""
    with torch.no_grad():
        *_, last = model.sample_steps(Even(500), {}, steps=steps)
    return (last < 0).double().mean().item(), last.std().item() / STD


@pytest.mark.parametrize(("target", "law"), [("v", "linear"), ("flow", "uniform")])
def test_samples_are_as_often_black_as_the_data_under_a_law_that_ends_in_zero(target, law):
    few, narrow = black(model_of(Exact(), target, law))
    right, wide = black(model_of(Exact(), target, f"{law}-zero"))
    assert few < 0.03 and narrow < 0.65, (few, narrow)
    assert right == pytest.approx(0.1, abs=0.02) and wide == pytest.approx(1.0, abs=0.1), (
        right,
        wide,
    )


@pytest.mark.slow
def test_a_trained_net_draws_the_brightness_of_its_data():
    found = {}
    for law in ("linear", "linear-zero"):
        torch.manual_seed(0)
        model = model_of(Taught(), "x0", law)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        steps, n = 600, 4000
        for i in range(steps):
            optimizer.param_groups[0]["lr"] = 1e-2 * (1 - i / steps)
            r = LAWS[law](stratified(n, device="cpu")).double()
            y = ((torch.rand(n) < WHITE).double() * 2 - 1 - MEAN) / STD
            shared = y + r / SIDE * torch.randn(n)  # the mean over the places of a noisy picture
            loss = (model.net.brightness(shared, r) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found[law] = black(model)
    (few, narrow), (right, wide) = found.values()
    assert few < 0.05 and narrow < 0.7, found
    assert right == pytest.approx(0.1, abs=0.06) and wide == pytest.approx(1.0, abs=0.25), found


@pytest.mark.parametrize(("target", "law"), PAIRS)
def test_sampling_starts_where_the_training_ends(target, law):
    """The levels that solvers visit lie within the law, and drown what all places share."""
    zero = f"{law}-zero"
    model = model_of(Exact(), target, zero)
    top = LAWS[zero](torch.tensor([1 - 1e-7], dtype=torch.float64)).item()
    for solver, steps in (("unipc", 20), ("ancestral", 900)):
        r = model._levels(steps, solver) / model.scale.item()
        assert (r[1:] < r[:-1]).all() and r[-1] == 0 and r[0] <= top * (1 + 1e-6)
        assert r[1] > SIDE
        assert (r[0].item() == pytest.approx(PURE)) is is_table(zero)


def test_the_noise_is_no_target_where_there_is_noise_alone():
    with pytest.raises(BadInput, match="eps cannot be learned at the law linear-zero"):
        Diffusion(Real((1, 8, 8)), {}, target="eps", law="linear-zero")
