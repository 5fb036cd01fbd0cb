"""Blocks of weights: the same sums in any company, and a net that is itself again afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genloom.core import Rng, Tokens
from genloom.decoding.speculation import Draft, Lookup, Speculation
from genloom.models.autoregressive import Autoregressive
from genloom.nets import packed as packing
from genloom.nets.packed import Blocked, Blocks, Packed, block, large, packed
from genloom.nets.transformer import Transformer

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="PyTorch was built without oneDNN"
)


def decoder(width: int = 256, length: int = 40) -> Autoregressive:
    """Of weights that matter, with matrices that are large enough."""
    torch.manual_seed(0)
    net = partial(Transformer, width=width, layers=2, heads=4)
    model = Autoregressive(Tokens((length,), 50), {}, net=net).eval()
    for p in model.parameters():
        nn.init.normal_(p, std=0.05)
    return model


@torch.inference_mode()
def drawn(model: Autoregressive, n: int, fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (n, L), and the first row's logits of each step, (L, V)."""
    rows, told = model.decoding(n, fill=fill), []
    rows.join(Rng(range(n)), {}, torch.zeros(n, 0, dtype=torch.long))
    for _ in range(model.length):
        rows.step()
        assert rows.logits is not None
        told.append(rows.logits[0])
    return rows.data(0, n).clone(), torch.stack(told)


@pytest.mark.parametrize("shape", [(3, 99, 80), (384, 1536)])
def test_a_row_of_a_product_is_the_same_in_any_company(shape):
    torch.manual_seed(0)
    weight, x = torch.randn(shape), torch.randn(2, 40, shape[-1])
    held: Any = Blocked(weight)
    exact = F.linear(x, weight.flatten(0, -2))
    with torch.inference_mode():
        found = F.linear(x, held.flatten(0, 1))
        torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-3)
        for n in (*range(1, 18), 39):
            assert F.linear(x[:1, 1 : 1 + n], held).equal(found[:1, 1 : 1 + n]), n
            assert F.linear(x[1, :n], held).equal(found[1, :n]), n
    assert len(held) == len(weight) and held.nbytes == weight.nbytes


def test_a_bias_is_added():
    layer, x = nn.Linear(32, 8), torch.randn(5, 32)
    held: Any = Blocked(layer.weight)
    with torch.inference_mode():
        for some in (x[:1], x):
            for found in (F.linear(some, held, layer.bias), F.linear(some, held, bias=layer.bias)):
                torch.testing.assert_close(found, layer(some))


def test_blocks_stand_in_for_weights_and_no_longer():
    model = decoder()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    names = [name for name, _ in model.named_parameters()]
    laid = Blocks(model)
    assert not packed(model)
    for _ in range(2):
        with laid:
            assert [type(one) for one in packed(model)] == [Blocked] * 8
            assert [name for name, _ in model.named_parameters()] == names
        assert not packed(model)
    assert all(value.equal(state[name]) for name, value in model.state_dict().items())


def test_the_last_to_end_puts_the_weights_back():
    layer = nn.Linear(256, 256)
    first, second = Blocks(layer), Blocks(layer)
    first.__enter__()  # as two threads would
    second.__enter__()
    first.__exit__()
    assert len(packed(layer)) == 1
    second.__exit__()
    assert not packed(layer)


def test_threads_may_draw_from_one_model():
    model = decoder()
    with ThreadPoolExecutor(1) as one:  # where sums are split is a thread's own
        (alone,) = one.map(lambda _: drawn(model, 1, 4)[1], range(1))
    with ThreadPoolExecutor(4) as many:
        for logits in many.map(lambda _: drawn(model, 1, 4)[1], range(8)):
            assert logits.equal(alone)
    assert not packed(model)


def test_only_large_matrices_of_whole_lanes_are_packed():
    net = nn.ModuleList([nn.Linear(256, 256), nn.Linear(264, 256), nn.Linear(255, 256)])
    net.append(nn.Linear(16, 256))
    net.append(nn.Embedding(256, 256))
    assert [(owner, name) for owner, name, _ in large(net)] == [(net[0], "weight")]
    with Blocks(net):
        assert len(list(large(net))) == 1 == len(packed(net))
    block(net)
    assert not list(large(net)) and len(packed(net)) == 1


def test_a_gradient_through_blocks_is_refused():
    layer = nn.Linear(256, 256)
    with Blocks(layer), pytest.raises(AssertionError):
        layer(torch.randn(8, 256))


def test_blocks_are_laid_out_once_for_each_state_of_the_weights():
    layer, x = nn.Linear(256, 256), torch.randn(4, 256)

    def within() -> Packed:
        with torch.inference_mode():
            exact = layer(x)
            with Blocks(layer):
                torch.testing.assert_close(layer(x), exact, rtol=1e-5, atol=1e-5)
                return packed(layer)[0]

    first = within()
    assert within() is first
    with torch.no_grad():
        layer.weight.mul_(-2)
    second = within()
    assert second is not first and within() is second
    layer.weight = nn.Parameter(torch.randn(256, 256))
    assert within() is not second


def test_blocks_for_good_take_the_place_of_weights():
    model = decoder()
    count, x = len(list(model.parameters())), torch.randint(0, 50, (3, 40))
    with torch.inference_mode():
        before = model.log_prob(x, {})
        block(model.net)
        torch.testing.assert_close(model.log_prob(x, {}), before)
    assert len(packed(model)) == 8 == count - len(list(model.parameters()))


@pytest.mark.parametrize("good", [False, True])
def test_a_sample_is_the_same_in_any_company_and_as_it_was(good, monkeypatch):
    model = decoder()
    with monkeypatch.context() as plain:
        plain.setattr(packing, "LEAST", 10**9)
        usual, near = drawn(model, 1, 4)
    if good:
        block(model.net)
    tokens, logits = drawn(model, 1, 4)
    assert tokens.equal(usual) and not logits.equal(near)
    torch.testing.assert_close(logits, near, rtol=1e-4, atol=1e-4)
    for n in (4, 7, 16):
        more, others = drawn(model, n, 4)
        assert more[:1].equal(tokens) and others.equal(logits)


def test_autocast_leaves_blocks_as_they_are():
    model, few = decoder(), decoder()
    block(few.net)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens, logits = drawn(model, 1, 4)
        assert drawn(few, 1, 1)[0].shape == tokens.shape
    torch.testing.assert_close(logits[0].float(), drawn(few, 1, 4)[1][0], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("guess", [Lookup(), None])
def test_guesses_change_no_token(guess):
    model = decoder()
    tokens, _ = drawn(model, 1, 4)
    assert isinstance(model.space, Tokens)
    ahead = Speculation(model.net, model.space, guess or Draft(decoder().net))
    given = torch.zeros(1, 0, dtype=torch.long)
    with torch.inference_mode():
        assert list(ahead.complete(Rng([0]), {}, given)) == tokens[0].tolist()
    assert ahead.passes <= ahead.drawn
