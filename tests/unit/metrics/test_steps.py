"""Quality against steps: what is counted, what is asked for, and where it settles."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genloom import sampling
from genloom.core import Real
from genloom.data import open_dataset, open_test
from genloom.errors import BadInput, Refused
from genloom.metrics.estimate import Estimate
from genloom.metrics.extractor import extractor
from genloom.metrics.steps import checked, counting, curve, settled
from genloom.models.diffusion import Diffusion
from genloom.models.gan import Gan

POINTS = Real((2,))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = Diffusion(POINTS, {})
    made.prepare(torch.randn(500, 2), {})
    return made


@pytest.mark.parametrize(("solver", "looks"), [("euler", 6), ("heun", 11)])
def test_every_look_of_a_net_at_a_sample_is_counted(model, solver, looks):
    for n, batch in ((10, 10), (10, 4)):
        with counting(model) as seen:
            sampling.sample(model, n, {}, batch=batch, steps=6, solver=solver)
        assert seen.rows == looks * n
    with counting(model) as seen:
        pass
    assert seen.rows == 0


def test_a_net_within_a_net_is_not_counted_twice_nor_a_failed_one_left_open():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.whole = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))

    outer = Outer()
    with counting(outer) as seen:
        outer.whole(torch.zeros(5, 2))
        with pytest.raises(RuntimeError):
            outer.whole(torch.zeros(5, 7))
        outer.whole(torch.zeros(4, 2))
    assert seen.rows == 14
    outer.whole(torch.zeros(4, 2))
    assert seen.rows == 14


def test_counts_are_checked_by_the_models_own_option(model):
    assert checked(model, [8, 2, 8, 1]) == (1, 2, 8)
    with pytest.raises(BadInput, match="steps = 0 is out of range"):
        checked(model, [4, 0])
    with pytest.raises(BadInput, match="no counts"):
        checked(model, [])
    with pytest.raises(BadInput, match=r"Gan takes no 'steps'.*without --steps-curve"):
        checked(Gan(POINTS, {}), [1, 2])


def test_a_curve_is_kid_at_each_count_beside_its_cost(model):
    data = open_dataset("gaussians")
    encode = extractor(data.items, data.train)
    test = open_test(data).items
    real, fresh = encode(test[:200]), data.valid.items
    asked = []

    def draw(steps):
        """Nearer to the data with every step."""
        asked.append(steps)
        sampling.sample(model, 100, {}, steps=steps, solver="euler")
        return fresh[:100] + 2.0 / steps**2

    floor = Estimate("kid", 0.001, 0.0, 0.002, 150, encode.id)
    found = curve(model, draw, [1, 2, 8], encode, real, floor)
    assert asked == [1, 2, 8]
    points = found["points"]
    assert [p["steps"] for p in points] == [1, 2, 8]
    assert [p["evaluations"] for p in points] == [1, 2, 8]
    assert points[0]["value"] > 3 * points[1]["value"] > 9 * abs(points[2]["value"])
    assert points[2]["low"] < 0.01 and all(p["low"] <= p["value"] <= p["high"] for p in points)
    assert all(0 < p["seconds"] < 1 for p in points)
    assert (found["name"], found["n"], found["floor"], found["floor_n"]) == ("kid", 100, 0.001, 150)
    assert curve(model, draw, [1], encode, real, None)["floor"] is None
    with pytest.raises(Refused, match="at least 50"):
        curve(model, lambda steps: fresh[:20], [1], encode, real, floor)


def at(*bounds):
    return [
        {"steps": 2**i, "low": low, "value": (low + high) / 2, "high": high}
        for i, (low, high) in enumerate(bounds)
    ]


@pytest.mark.parametrize(
    ("bounds", "first"),
    [
        ([(5, 6), (2, 3), (1, 2.5), (1.1, 2.4)], 2),
        ([(5, 6), (2, 3), (1, 1.5), (0.1, 0.4)], None),  # the last one alone is best
        ([(0, 1), (0.1, 1.1)], 1),
        ([(0.5, 2), (5, 6), (0, 1), (0, 1)], 4),  # an even count before a worse one is luck
        ([(0, 1), (2, 3)], None),  # worse with more steps
    ],
)
def test_where_more_steps_show_no_gain(bounds, first):
    assert settled(at(*bounds)) == first
