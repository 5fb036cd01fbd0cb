"""One step of training: whose weights move, with which noise, and what a NaN is called."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from genloom.core import Step
from genloom.errors import Diverged
from genloom.learner import Learner, Micro, reseed
from genloom.options import TrainOptions
from genloom.pace import average, exponent, rate
from genloom.private import Mechanism, gradient
from tests.tiny import PLANE, Line, TinyFlow, TinyGan, points


def micros(x, cond, parts: int):
    size = len(x) // parts
    return [
        Micro(
            x[k * size : (k + 1) * size],
            {name: v[k * size : (k + 1) * size] for name, v in cond.items()},
            k * size,
            len(x),
            range(k * size, (k + 1) * size),
        )
        for k in range(parts)
    ]


def trained(model, parts: int, steps: int = 5, **options):
    learner = Learner(model, TrainOptions(steps=steps, **options), steps)
    for index in range(steps):
        x = points(12, index)
        cond = {"label": torch.arange(12) % 3} if isinstance(model, TinyFlow) else {}
        learner.step(index, micros(x, cond, parts))
    return learner


@pytest.mark.parametrize("family", [TinyGan, TinyFlow])
@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_accumulation_equals_the_full_batch(family, parts, optimizer):
    whole = family(PLANE)
    split = copy.deepcopy(whole)
    trained(whole, 1, optimizer=optimizer)
    trained(split, parts, optimizer=optimizer)
    for (name, a), b in zip(whole.named_parameters(), split.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), name


def test_a_turn_moves_only_its_player():
    model = TinyGan(PLANE)
    learner = Learner(model, TrainOptions(steps=1), 1)
    x = points(12)
    turn = model.losses(x, {}, Step(0, 1))
    before = copy.deepcopy(model.state_dict())
    name, terms = next(turn)
    assert name == "discriminator"
    sum(terms.values()).backward(inputs=learner.players[name].params)
    grads = [p.grad for p in learner.players[name].params]
    learner.players[name].update(grads, 1.0, None, 1.0)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) != key.startswith("discriminator"), key


def test_draws_are_a_function_of_seed_step_and_purpose():
    def drawn(*key):
        reseed(*key)
        return torch.rand(4).tolist()

    same = drawn(0, 1, "losses")
    assert drawn(0, 1, "losses") == same
    others = [(1, 1, "losses"), (0, 2, "losses"), (0, 1, "preview"), (0, 11, "losses")]
    assert all(drawn(*key) != same for key in others)


def test_the_same_step_draws_the_same_noise_whatever_came_before():
    one, two = TinyFlow(PLANE), TinyFlow(PLANE)
    two.load_state_dict(one.state_dict())
    for model, junk in ((one, 0), (two, 17)):
        torch.randn(junk)
        Learner(model, TrainOptions(steps=9), 9).step(4, micros(points(12), {}, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))


def test_the_average_covers_what_sampling_needs_and_the_rest_is_as_it_is():
    learner = trained(TinyGan(PLANE), 1, steps=20)
    sampler = learner.sampler()
    gap = [
        (a - b).abs().max()
        for a, b in zip(sampler.generator.parameters(), learner.model.generator.parameters())
    ]
    assert max(gap) > 1e-4
    for a, b in zip(sampler.discriminator.parameters(), learner.model.discriminator.parameters()):
        assert torch.equal(a, b)


def test_state_and_restore_are_exact():
    first = Learner(TinyGan(PLANE), TrainOptions(steps=6), 6)
    for index in range(3):
        first.step(index, micros(points(12, index), {}, 1))
    second = Learner(TinyGan(PLANE), TrainOptions(steps=6), 6)
    second.restore(copy.deepcopy(first.state()))
    for learner in (first, second):
        for index in range(3, 6):
            learner.step(index, micros(points(12, index), {}, 1))
    for name, group in first.state().items():
        for key, value in group.items():
            assert torch.equal(value, second.state()[name][key]), (name, key)


def poisoned(where: str):
    model = TinyFlow(PLANE)
    x = points(12)
    if where == "batch":
        x[4, 1] = math.inf
    elif where == "weight":
        model.net[2].weight.data[0, 0] = math.nan
    elif where == "gradient":
        model.net[0].bias.register_hook(lambda g: g * math.inf)
    elif where == "loss":
        model.loss = lambda x, cond: {"velocity": model.net[0].bias.sum() * math.nan}
    return model, x


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("batch", r"training items \[4\] hold NaN or infinity at step 1 of 9"),
        ("weight", r"the weight 'net.2.weight' is not finite"),
        ("gradient", r"the gradient of 'net.0.bias' is not finite"),
        ("loss", r"the loss 'velocity' is nan"),
    ],
)
def test_a_nan_is_named_at_the_step_where_it_arises(where, says):
    model, x = poisoned(where)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(Diverged, match=says):
        Learner(model, TrainOptions(steps=9), 9).step(0, micros(x, {}, 1))
    after = model.state_dict()
    assert all(torch.equal(before[k].nan_to_num(), after[k].nan_to_num()) for k in before)


def test_the_power_average_has_the_width_that_was_asked_for():
    for width in (0.05, 0.10, 0.15):
        steps, mean = 4000, torch.zeros(())
        weights = torch.zeros(steps)
        for t in range(1, steps + 1):
            beta = (1 - 1 / t) ** (exponent(width) + 1)
            weights *= beta
            weights[t - 1] = 1 - beta
            average([mean], [torch.tensor(float(t))], t, exponent(width))
        times = torch.arange(1, steps + 1) / steps
        centre = (weights * times).sum()
        assert abs((weights * (times - centre) ** 2).sum().sqrt() - width) < 1e-3
        assert abs(mean / steps - centre) < 1e-3


def test_an_average_that_moves_at_every_fourth_step_is_almost_that_of_all():
    learner = Learner(TinyFlow(PLANE), TrainOptions(steps=203, ema=0.1), 203)
    now, strided = (next(m.parameters()).detach() for m in (learner.model, learner.average))
    mean, moved = now.clone(), [now.clone()]
    for index in range(203):
        learner.step(index, micros(points(12, index), {"label": torch.arange(12) % 3}, 1))
        average([mean], [now], index + 1, exponent(0.1))
        moved.append(strided.clone())
    changed = [i for i, (a, b) in enumerate(pairwise(moved), 1) if not torch.equal(a, b)]
    assert changed == [*range(1, 17), *range(20, 201, 4), 203]
    assert (strided - mean).norm() < 0.1 * (now - mean).norm()


def test_the_first_step_copies():
    mean = torch.tensor([9.0])
    average([mean], [torch.tensor([2.0])], 1, exponent(0.1))
    assert mean.item() == 2.0


def test_the_rate_rises_holds_and_falls():
    linear = [rate("linear", f, warmup=0.1, warmdown=0.5) for f in (0.0, 0.05, 0.3, 0.75, 0.999)]
    assert linear[0] < 0.01 and 0.4 < linear[1] < 0.6 and linear[2] == 1.0
    assert abs(linear[3] - 0.51) < 1e-9 and linear[4] < 0.03
    assert rate("constant", 0.99, warmup=0.0, warmdown=0.5) == 1.0
    assert abs(rate("cosine", 0.5, warmup=0.0, warmdown=0.0) - 0.51) < 1e-9


def test_the_clip_bounds_the_gradient_of_a_player():
    model = TinyFlow(PLANE)
    free, bound = copy.deepcopy(model), copy.deepcopy(model)
    sgd = {"beta1": 0.0, "beta2": 0.0, "eps": 1.0, "schedule": "constant", "warmup": 0.0, "lr": 1.0}
    for part, clip in ((free, None), (bound, 1e-4)):
        Learner(part, TrainOptions(steps=1, clip=clip, **sgd), 1).step(0, micros(points(12), {}, 1))
    moved = [
        max((a - b).abs().max() for a, b in zip(part.parameters(), model.parameters()))
        for part in (free, bound)
    ]
    assert moved[1] <= 1.1e-4 < moved[0]


def privately(model, x, noise: float, clip: float = 0.2, **options):
    """A learner after one private step, and the figures of that step."""
    options = {"steps": 1, "beta1": 0.0, "warmup": 0.0, "schedule": "constant"} | options
    learner = Learner(model, TrainOptions(**options), 1)
    learner.mechanism = Mechanism(rows=100, batch=8, noise=noise, clip=clip, delta=1e-3)
    micro = Micro(x, {}, 0, len(x), range(len(x)))
    return learner, learner.step(0, [micro])


def test_a_private_step_is_an_update_by_the_private_gradient():
    moved, x = Line(), points(5)
    still = copy.deepcopy(moved)
    _, figures = privately(moved, x, noise=0.0, clip=0.2)
    player = Learner(still, TrainOptions(steps=1, beta1=0.0), 1).players[""]
    found = gradient(still, x, {}, clip=0.2, noise=0.0, expected=8.0)
    for name, p in still.named_parameters():
        p.grad = found[name]
    norm = float(torch.nn.utils.get_total_norm(list(found.values())))
    player.update([], norm, None, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(moved.parameters(), still.parameters()))
    assert figures == {"grad_norm": pytest.approx(norm)} and 0.2 * 5 / 8 / 2 < norm <= 0.2 * 5 / 8


def test_private_noise_is_as_large_as_is_counted_and_clip_leaves_it_alone():
    wide, idle = Line(), nn.Parameter(torch.zeros(40_000))
    wide.register_parameter("idle", idle)
    sgd = {"beta2": 0.0, "eps": 1e6, "lr": 1e6}  # so that AdamW moves by the gradient
    learner, figures = privately(wide, points(0), noise=3.0, clip=0.5, **sgd)
    assert idle.std().item() == pytest.approx(3.0 * 0.5 / 8, rel=0.02)
    assert figures["grad_norm"] == pytest.approx(3.0 * 0.5 / 8 * 200, rel=0.02)
    assert learner.options.clip == 1.0
    assert torch.equal(learner.average.get_parameter("idle"), idle)


def test_nobody_knows_the_seed_of_a_private_step():
    seeds = []
    for _ in range(2):
        torch.manual_seed(0)
        privately(Line(), points(2), noise=1.0)
        seeds.append(torch.initial_seed())
    assert 0 not in seeds and seeds[0] != seeds[1]
