"""The MLP: shapes, a silent start, and what modulates it."""

import pytest
import torch

from genloom.core import Real, Tokens
from genloom.errors import BadInput
from genloom.nets.mlp import Mlp

CONDITIONS = {"label": Tokens((), 3), "text": Tokens((4,), 5), "size": Real((2,))}


def test_silent_at_the_start_and_modulated_by_everything_later():
    torch.manual_seed(0)
    net = Mlp(2, 3, 0, CONDITIONS, width=16, blocks=2)
    x, t = torch.randn(5, 2), torch.randn(5)
    assert torch.equal(net(x, t, {}), torch.zeros(5, 3))
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    base = net(x, t, {})
    assert base.shape == (5, 3)
    changed = [
        net(x, t + 0.1, {}),
        net(x, t, {"label": torch.zeros(5, dtype=torch.long)}),
        net(x, t, {"text": torch.zeros(5, 4, dtype=torch.long)}),
        net(x, t, {"size": torch.zeros(5, 2)}),
    ]
    assert all((c - base).abs().min() > 1e-5 for c in changed)
    base.sum().backward()
    for block in net.blocks:  # scale, shift and gate
        assert all(part.any() for part in block.modulate.weight.grad.chunk(3))


def test_wants_no_axes():
    with pytest.raises(BadInput, match="no spatial axis"):
        Mlp(2, 2, 2, {})
