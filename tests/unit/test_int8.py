"""Weights of int8: near the matrix, the same in any batch, and what is left out."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genloom.core import Rng, Tokens
from genloom.errors import BadInput
from genloom.int8 import Int8, pack
from genloom.models.autoregressive import Autoregressive
from genloom.nets.recurrent import Recurrent
from genloom.nets.transformer import Transformer


def test_a_product_is_near_and_the_same_in_any_batch():
    torch.manual_seed(0)
    weight, x = torch.randn(3, 99, 80), torch.randn(2, 8, 80)
    packed: Any = Int8(weight)
    with torch.inference_mode():
        found, exact = F.linear(x, packed.flatten(0, 1)), F.linear(x, weight.flatten(0, 1))
        assert (found - exact).norm() < 0.02 * exact.norm()
        assert len(packed) == 3 and packed.rows.dtype == torch.int8
        for n in (1, 2, 3, 5, 8):
            assert F.linear(x[:1, :n], packed).equal(found[:1, :n])
    assert not Int8(torch.zeros(4, 16)).rows.any()


def test_a_bias_is_added():
    layer = nn.Linear(32, 8)
    x = torch.randn(2, 32)
    packed: Any = Int8(layer.weight.detach())
    with torch.inference_mode():
        for found in (F.linear(x, packed, layer.bias), F.linear(x, packed, bias=layer.bias)):
            assert found.equal(F.linear(x, packed) + layer.bias)


@pytest.mark.parametrize("gated", [False, True])
def test_a_packed_model_draws_nearly_what_it_drew(gated):
    torch.manual_seed(0)
    space = Tokens((40,), 50)
    net = partial(Transformer, width=256, layers=2, heads=4, gated=gated)
    model = Autoregressive(space, {}, net=net).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.05)
    x = torch.randint(0, 50, (4, 40))
    with torch.inference_mode():
        before = model.log_prob(x, {})
        pack(model.net)
        assert sum(isinstance(v, Int8) for m in model.net.modules() for v in vars(m).values()) == 8
        after = model.log_prob(x, {})
        assert not after.equal(before)
        torch.testing.assert_close(after, before, rtol=0.02, atol=0)
        *_, drawn = model.complete(Rng([0]), {}, x[:1, :3])
    assert drawn.shape == (1, 40)


def test_what_is_no_transformer_is_refused():
    with pytest.raises(BadInput, match="transformer"):
        pack(Recurrent(Tokens((4,), 3), {}))
