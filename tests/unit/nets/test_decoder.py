"""Decoders in the forms of others: causal, equal with a cache, documents apart, turns as told."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from genloom import catalog, sampling
from genloom.core import Tokens
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.nets.gpt2 import Gpt2
from genloom.nets.llama import Llama, rates, turned
from genloom.optim import build, matrices

QWEN = partial(Llama, kv_heads=2, head=10, normed=True, biases="qkv", tied=True)
NETS = {"llama": Llama, "qwen": QWEN, "gpt2": partial(Gpt2, positions=60)}
END = 6


def awake(net: str, length: int = 44):
    torch.manual_seed(0)
    made = NETS[net](Tokens((length,), 7, end=END), {}, width=32, layers=2, heads=4)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return made.eval()


@pytest.mark.parametrize("name", NETS)
def test_position_i_sees_tokens_up_to_i_and_no_others(name):
    net = awake(name, 12)
    tokens = torch.randint(0, 6, (1, 12))
    before = net(tokens, {})
    for i in range(12):
        other = tokens.clone()
        other[0, i] = (tokens[0, i] + 1) % 6
        changed = (net(other, {}) - before).abs().amax(-1)[0]
        assert torch.equal(changed[:i], torch.zeros(i))
        assert (changed[i:] > 1e-6).all()


@pytest.mark.parametrize("name", NETS)
def test_cached_logits_equal_the_full_ones(name):
    """In rows that begin with 0 to 43 tokens, go on side by side, and change their places."""
    net, known = awake(name), (0, 1, 5, 30, 43)
    tokens = torch.randint(0, 6, (5, 44))
    tokens[:, 0] = 7
    full, cache = net(tokens, {}), net.cache(6)
    for i, held in enumerate(known):
        net.begin(cache, [Fresh(i, tokens[i : i + 1, :held], {})])
    cache.move(4, 5)
    cache.move(0, 4)
    cache.move(5, 0)
    order, lengths = [4, 1, 2, 3, 0], torch.tensor([43, 1, 5, 30, 0])
    for _ in range(44):
        assert torch.equal(cache.lengths[:5], lengths)
        at = lengths.clamp(max=43)
        cache.lengths.clamp_(max=43)  # those that are full read their last token again
        found = net.follow(cache, tokens[order, at])
        torch.testing.assert_close(found, full[order, at], atol=1e-4, rtol=0)
        lengths = at + 1


@pytest.mark.parametrize("name", NETS)
def test_a_document_of_a_row_is_read_as_if_it_stood_alone(name):
    net = awake(name, 12)
    row = torch.tensor([[7, 1, 2, 3, 7, 4, 0, 1, 7, 7, 7, 7]])
    alone = torch.tensor([[7, 4, 0, 1]])
    torch.testing.assert_close(net(row, {})[:, 4:8], net(alone, {}), atol=1e-5, rtol=0)
    torch.testing.assert_close(net(row, {})[:, 11], net(alone, {})[:, 0], atol=1e-5, rtol=0)


def test_the_start_token_is_read_as_a_token_of_theirs():
    for start, opener in ((-1, END), (3, 3)):
        net = Llama(Tokens((12,), 7, end=END), {}, width=8, start=start).eval()
        assert net.opener == opener
        rows = torch.tensor([[7, 1, 2], [opener, 1, 2]])
        torch.testing.assert_close(*net(rows, {}))
    assert Gpt2(Tokens((12,), 7), {}, width=8).opener == 0


@pytest.mark.parametrize("name", NETS)
def test_a_sample_depends_on_its_seed_alone_and_ends(name):
    model = Autoregressive(Tokens((20,), 7, end=END), {}, net=NETS[name]).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    together = sampling.sample(model, 8)
    assert torch.equal(together, sampling.sample(model, 8, batch=3))
    assert bool((together == END).any())


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_one_of_the_catalog_begins_even_and_learns(name):
    torch.manual_seed(0)
    net = partial(catalog.find(name, "net"), width=32, layers=2)
    model = Autoregressive(Tokens((10,), 5), {}, net=net)
    x = (torch.randint(0, 5, (32, 1)) + torch.arange(10)) % 5  # each counts on
    assert model.loss(x, {})["nats"].item() == pytest.approx(math.log(5), abs=0.15)
    assert len(matrices(model)) == {"llama": 14, "gpt2": 8}[name]
    for _ in range(40):
        for optimizer in (optimizers := build(model, name="muon", lr=3e-3)):
            optimizer.zero_grad()
        model.loss(x, {})["nats"].backward()
        for optimizer in optimizers:
            optimizer.step()
    assert model.loss(x, {})["nats"].item() < 0.5  # log(5) / 10, if all but the first is known


def test_turns_depend_on_the_distance_alone_and_by_halves():
    q, k = torch.randn(2, 1, 1, 1, 8)
    angles = torch.arange(5)[:, None] * rates(8, 100.0)
    turn = angles.cos()[:, None], angles.sin()[:, None]
    scores = (turned(q, *turn)[0, :, None] * turned(k, *turn)[0, None]).sum((-1, -2))
    for offset in range(-4, 5):
        diagonal = scores.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    one = torch.zeros(1, 1, 1, 8)
    one[..., 1] = 1.0  # its pair is feature 5
    found = turned(one.expand(1, 5, 1, 8), *turn)[0, :, 0]
    rate = 100 ** (-2 / 8)
    torch.testing.assert_close(found[:, 1], (torch.arange(5) * rate).cos())
    torch.testing.assert_close(found[:, 5], (torch.arange(5) * rate).sin())


def test_slow_turns_are_slower_still_for_long_texts():
    plain, scaled = rates(64, 1e4), rates(64, 1e4, (8.0, 1.0, 4.0, 256.0))
    often = 256 * plain / (2 * math.pi)
    torch.testing.assert_close(scaled[often >= 4], plain[often >= 4])
    torch.testing.assert_close(scaled[often <= 1], plain[often <= 1] / 8)
    between = (often > 1) & (often < 4)
    share = ((often - 1) / 3)[between]
    assert between.any()
    torch.testing.assert_close(scaled[between], plain[between] * (share + (1 - share) / 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 9, "heads": 2}, "width = 9 is no multiple of heads = 2"),
        ({"heads": 3, "kv_heads": 2}, "heads = 3 is no multiple of kv_heads = 2"),
        ({"head": 3}, "features of a head = 3"),
        ({"scaling": (8.0,)}, "is not \\(factor, low, high, length\\)"),
        ({"start": 7}, "start = 7 is none of the data's 7 tokens"),
        ({"positions": 5}, r"Set data\.length = 5 or less"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(BadInput, match=message):
        Llama(Tokens((12,), 7), {}, **options)
    with pytest.raises(BadInput, match=r"gpt2 reads no conditions \(label\)"):
        Gpt2(Tokens((12,), 7), {"label": Tokens((), 2)})
