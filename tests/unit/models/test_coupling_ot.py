"""Optimal transport within a batch, against all orders there are."""

from itertools import permutations

import pytest
import torch

from genloom.models.coupling_ot import transport


@pytest.mark.parametrize("shape", [(2,), (1, 3, 2)])
def test_no_order_of_six_rows_is_shorter(shape):
    torch.manual_seed(0)
    x, noise = 2 + torch.randn(6, *shape), torch.randn(6, *shape)
    costs = {
        order: float((x - noise[list(order)]).square().sum()) for order in permutations(range(6))
    }
    best = list(min(costs, key=lambda order: costs[order]))
    assert best != list(range(6))
    assert torch.equal(transport(noise, x), noise[best])


def test_it_is_a_permutation_of_the_rows():
    torch.manual_seed(0)
    x, noise = torch.randn(64, 3), torch.randn(64, 3)
    found = transport(noise, x)
    assert torch.equal(found.sort(0).values, noise.sort(0).values)
    assert (x - found).square().sum() < 0.5 * (x - noise).square().sum()
    assert torch.equal(transport(x, x), x)
