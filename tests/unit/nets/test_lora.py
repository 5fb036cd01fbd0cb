"""Low-rank differences: nothing at first, merged to the same, and only for nets that have them."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from genloom.core import Tokens
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.nets import lora
from genloom.nets.gpt2 import Gpt2
from genloom.nets.llama import Llama

SPACE = Tokens((12,), 7, end=6)
TOKENS = torch.randint(0, 7, (2, 12), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("make", [Llama, Gpt2])
def test_a_difference_is_nothing_at_first_and_merges_to_the_same(make):
    net = make(SPACE, {}, width=16, layers=2).eval()
    plain, names = net(TOKENS, {}), set(net.state_dict())
    lora.adapt(net, 2, 4.0)
    assert torch.equal(net(TOKENS, {}), plain)
    assert (
        sum(p.requires_grad for p in net.parameters())
        == 2 * (len(net.state_dict()) - len(names)) / 2
    )
    for name, p in net.named_parameters():
        if name.endswith(".b"):
            torch.nn.init.normal_(p)
    moved = net(TOKENS, {})
    assert (moved - plain).abs().max() > 1e-2
    assert set(lora.merge(net).state_dict()) == names
    torch.testing.assert_close(net(TOKENS, {}), moved, atol=1e-5, rtol=0)


def test_the_difference_is_alpha_over_rank_b_a():
    layer = torch.nn.Linear(3, 2)
    adapted = lora.LowRank(layer, 4, 2.0)
    torch.nn.init.normal_(adapted.b)
    x = torch.randn(5, 3)
    wanted = layer(x) + 0.5 * x @ adapted.a.T @ adapted.b.T
    torch.testing.assert_close(adapted(x), wanted)
    torch.testing.assert_close(adapted.merged()(x), wanted)


def test_what_cannot_be_adapted_is_refused():
    told = r"rank = 2 adapts the nets llama and gpt2, not transformer.*model\.net\.use=llama"
    with pytest.raises(BadInput, match=told):
        Autoregressive(SPACE, {}, base="x", rank=2)
    with pytest.raises(BadInput, match=r"name it, model\.base"):
        Autoregressive(SPACE, {}, net=partial(Llama, width=16), rank=2)
