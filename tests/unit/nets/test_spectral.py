"""Spectral normalization beside torch's own and a singular value decomposition."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from genloom.nets.spectral import Spectral, iterate, normalise


@pytest.mark.parametrize("shape", [(5, 8), (6, 3, 3, 3), (1, 9), (4, 7)])
def test_the_largest_singular_value_becomes_one(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape) * 4
    spectral = Spectral(weight)
    for _ in range(100):
        spectral.iterate(weight)
    expected = weight / torch.linalg.svdvals(weight.flatten(1))[0]
    torch.testing.assert_close(spectral(weight), expected, atol=1e-4, rtol=1e-4)


def test_values_and_gradients_are_those_of_torch():
    torch.manual_seed(0)
    ours, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 5, 5)
    theirs = spectral_norm(copy.deepcopy(ours), n_power_iterations=100)
    normalise(ours)
    for _ in range(200):
        iterate(ours)
    a, b = ours(x), theirs(x)
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    stored = [net.parametrizations.weight.original for net in (ours, theirs)]
    grads = [
        torch.autograd.grad(out.square().sum(), w)[0] for out, w in zip((a, b), stored, strict=True)
    ]
    torch.testing.assert_close(*grads, atol=1e-4, rtol=1e-3)


def test_only_iterate_moves_the_state():
    net = nn.Sequential(nn.Linear(4, 4), nn.Embedding(3, 4), nn.LayerNorm(4))
    normalise(net)
    assert sum(k.endswith(".u") for k in net.state_dict()) == 2  # not the vector of the norm
    for p in net.parameters():
        p.data = torch.randn_like(p)
    before = copy.deepcopy(net.state_dict())
    for _ in range(3):
        net[0](torch.randn(2, 4)).sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    iterate(net)
    moved = [k for k, v in net.state_dict().items() if not torch.equal(v, before[k])]
    assert len(moved) == 4 and all(k[-1] in "uv" for k in moved)


def test_the_state_is_saved():
    nets = [nn.Linear(4, 3) for _ in range(2)]
    for net in nets:
        normalise(net)
    nets[1].load_state_dict(nets[0].state_dict())
    x = torch.randn(2, 4)
    assert torch.equal(nets[0](x), nets[1](x))
