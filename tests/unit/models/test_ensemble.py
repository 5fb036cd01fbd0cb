"""A mixture: shares, members and likelihood, and the stream of each sample."""

from __future__ import annotations

import math

import pytest
import torch
from tests.tiny import PLANE, TinyFlow, TinyGan, TinyText, points
from torch import Tensor, nn

from genloom.core import Generative, Likelihood, Real, Rng, Tokens, Walk
from genloom.errors import BadInput
from genloom.learner import Learner, Micro
from genloom.models.ensemble import Ensemble, _streams
from genloom.models.vae import Vae
from genloom.options import TrainOptions
from genloom.sampling import sample, stream

LINE = Real((1,))


class Normal(Generative):
    """A normal law on the line, with so many guesses on the way."""

    likelihood = "exact"

    def __init__(self, space, conditions, *, mean: float = 0.0, std: float = 1.0, guesses: int = 1):
        super().__init__(space, conditions)
        self.mean = nn.Parameter(torch.tensor(mean))
        self.std, self.guesses = std, guesses

    def loss(self, x, cond):
        return {"square": (x - self.mean).square().mean()}

    def log_prob(self, x: Tensor, cond) -> Tensor:
        return torch.distributions.Normal(self.mean, self.std).log_prob(x)[:, 0]

    def sample_steps(self, rng, cond):
        for _ in range(self.guesses):
            yield self.mean + self.std * rng.normal(1)


def normal(**options):
    return lambda space, conditions: Normal(space, conditions, **options)


def pair(shares=(1.0, 3.0)) -> Ensemble:
    return Ensemble(LINE, {}, one=normal(mean=-20.0), two=normal(mean=20.0), shares=shares)


def test_the_mixture_integrates_to_one_and_weighs_its_members():
    model = Ensemble(
        LINE, {}, one=normal(mean=-2.0, std=0.5), two=normal(mean=3.0), shares=(1.0, 3.0)
    )
    x = torch.linspace(-12, 14, 20_001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        p = model.log_prob(x, {}).exp()
    mass = torch.trapezoid(p, x[:, 0])
    assert mass == pytest.approx(1, abs=1e-6)
    mean = torch.trapezoid(p * x[:, 0], x[:, 0])
    assert mean == pytest.approx(0.25 * -2 + 0.75 * 3, abs=1e-5)


def test_samples_come_from_the_members_in_their_shares():
    x = sample(pair(), 4000, batch=1000)[:, 0]
    right = (x > 0).float().mean().item()
    assert abs(right - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 4000)
    assert (x.abs() - 20).abs().max() < 6
    assert x[x > 0].std().item() == pytest.approx(1, abs=0.06)


def test_a_sample_depends_on_its_own_seed_alone():
    together = sample(pair(), 9, seed=40, batch=9)
    alone = torch.cat([sample(pair(), 1, seed=40 + i) for i in range(9)])
    assert torch.equal(together, alone)
    assert len({bool(v > 0) for v in together}) == 2


def test_a_member_that_is_ready_waits_for_the_others():
    model = Ensemble(LINE, {}, one=normal(mean=-20.0), two=normal(mean=20.0, guesses=3))
    guesses = list(stream(model, range(12)))
    assert len(guesses) == 3 and all(g.shape == (12, 1) for g in guesses)
    left = guesses[0][:, 0] < 0
    assert 0 < left.sum() < 12
    assert torch.equal(guesses[0][left], guesses[2][left])
    assert not torch.isclose(guesses[1][~left], guesses[2][~left]).any()
    assert torch.equal(guesses[2], sample(model, 12))


def test_a_walk_ends_at_the_samples_of_its_seeds():
    model, ends = pair(), ([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    for place, seeds in ((0.0, ends[0]), (1.0, ends[1])):
        with torch.no_grad():
            (walked,) = model.sample_steps(Walk(*ends, [place] * 5), {})
            (plain,) = model.sample_steps(Rng(seeds), {})
        assert torch.equal(walked, plain)
    part = _streams(Walk(*ends, [0.0, 0.25, 0.5, 0.75, 1.0]), [1, 3])
    assert len(part) == 2 and part.mix.tolist() == [0.25, 0.75] and len(part.others) == 2


def test_options_go_to_the_members_that_have_them():
    model = Ensemble(PLANE, {}, one=TinyFlow, two=TinyGan)
    assert len(list(stream(model, range(8), steps=6))) == 6
    assert len(list(stream(model, range(8)))) == 4  # TinyFlow's own default


def test_members_of_every_kind_learn_side_by_side():
    torch.manual_seed(0)
    model = Ensemble(PLANE, {}, one=TinyFlow, two=TinyGan)
    assert model.players == ("members.0", "members.1.discriminator", "members.1.generator")
    assert model.averaged == ("members.0", "members.1.generator")
    learner = Learner(model, TrainOptions(lr=1e-2), 60)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses = []
    for index in range(60):
        x = points(64, index)
        losses.append(learner.step(index, [Micro(x, {}, 0, 64, range(64))])["members.0/velocity"])
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert all(not torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_likelihood_is_as_good_as_its_worst_member():
    def kind(**members):
        return Ensemble(LINE, {}, **members)

    bound = lambda space, conditions: Vae(space, conditions, latent=2)  # noqa: E731
    assert kind(one=normal(), two=normal()).likelihood == "exact"
    assert kind(one=bound, two=normal()).likelihood == "bound"
    assert isinstance(kind(one=normal(), two=normal()), Likelihood)
    assert not isinstance(kind(one=normal(), two=TinyFlow), Likelihood)


def test_tokens_keep_their_type():
    model = Ensemble(Tokens((2,), 7), {}, one=TinyText, two=TinyText)
    x = sample(model, 6)
    assert x.dtype == torch.int64 and x.shape == (6, 2)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"one": normal()}, "two members or more"),
        ({"one": normal(), "three": normal()}, "without a gap"),
        ({"two": normal(), "three": normal()}, "without a gap"),
        ({"one": normal(), "two": lambda s, c: nn.Linear(1, 1)}, "Linear is no model"),
        ({"one": normal(), "two": normal(), "shares": (1.0,)}, "1 shares for 2 members"),
        ({"one": normal(), "two": normal(), "shares": (1.0, 0.0)}, "above 0"),
        ({"one": normal(), "two": normal(), "shares": (1.0, math.inf)}, "above 0"),
    ],
)
def test_mistakes_are_one_line(given, match):
    with pytest.raises(BadInput, match=match):
        Ensemble(LINE, {}, **given)
