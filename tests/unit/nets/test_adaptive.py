"""Augmentation with a probability: how often, where to, and that it is the same for parts."""

import pytest
import torch

from genloom.core import Step, rows
from genloom.nets.adaptive import MOST, Adaptive


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_a_row_is_transformed_with_probability_p(p):
    torch.manual_seed(0)
    module, x = Adaptive("cutout", 0.6), torch.ones(2000, 1, 8, 8)
    module.p.fill_(p)
    changed = (module(x) != x).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(p, abs=0.03)


def test_transforms_are_chosen_each_for_itself():
    torch.manual_seed(0)
    x = torch.ones(2000, 1, 16, 16)
    x[:, :, 0, 0] = 2.0
    module = Adaptive("translation+cutout", 0.6)
    module.p.fill_(0.5)
    seen = module(x)
    untouched = (seen == x).flatten(1).all(1).float().mean().item()
    assert untouched == pytest.approx(0.25 + 0.25 / 25, abs=0.03)  # a shift may be by nothing
    corner = (seen[:, 0, 0, 0] == 2).float().mean().item()
    assert corner == pytest.approx((0.5 + 0.5 / 25) * (0.5 + 0.5 * (1 - 1 / 16)), abs=0.04)


def test_parts_see_the_draws_of_the_whole():
    module, x = Adaptive("translation+cutout", 0.6), torch.randn(8, 1, 8, 8)
    module.p.fill_(0.5)
    torch.manual_seed(4)
    whole = module(x)
    parts = []
    for start in (0, 2):
        torch.manual_seed(4)
        with rows(start * 2, 8):
            parts.append(module(x[2 * start : 2 * start + 4]))
    assert torch.equal(torch.cat(parts), whole)


def test_p_climbs_over_a_tenth_of_the_run_and_stays_in_bounds():
    module = Adaptive("translation", 0.6)
    found = []
    for index in range(30):
        module.follow(torch.tensor(0.9), Step(index, 400))
        found.append(module.p.item())
    assert found[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert found[-1] == pytest.approx(MOST)
    for index in range(30):
        module.follow(torch.tensor(0.2), Step(index, 400))
    assert module.p.item() == 0
