"""The text encoder, and the nets that read captions: places, filling, hidden rows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from genloom.core import Rng, Tokens
from genloom.decoding.rows import Fresh
from genloom.learner import Learner, Micro
from genloom.models.autoregressive import Autoregressive
from genloom.nets.dit import Dit
from genloom.nets.embed import ConditionSequence
from genloom.nets.text import TextEncoder
from genloom.nets.transformer import Transformer
from genloom.nets.unet import UNet
from genloom.options import TrainOptions

CAPTION = {"caption": Tokens((6,), 9)}
TEXTS = torch.tensor([[3, 4, 5, 0, 0, 0], [1, 2, 0, 0, 0, 0], [-1] * 6, [0] * 6])


def awake(net):
    torch.manual_seed(0)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


def test_it_is_a_torch_encoder_layer():
    torch.manual_seed(0)
    mine, peer = (
        TextEncoder(64, 1),
        torch.nn.TransformerEncoderLayer(
            64, 2, 256, dropout=0, activation="gelu", batch_first=True, norm_first=True
        ),
    )
    awake(mine)
    block = mine.blocks[0]
    pairs = [
        (peer.self_attn.in_proj_weight, block.qkv.weight),
        (peer.self_attn.in_proj_bias, block.qkv.bias),
        (peer.self_attn.out_proj.weight, block.out.weight),
        (peer.self_attn.out_proj.bias, block.out.bias),
    ]
    for theirs, ours in (
        *((getattr(peer, f"linear{i}"), part) for i, part in ((1, block.up), (2, block.down))),
        *((getattr(peer, f"norm{i}"), part) for i, part in ((1, block.norm1), (2, block.norm2))),
    ):
        pairs += [(theirs.weight, ours.weight), (theirs.bias, ours.bias)]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    x, filling = torch.randn(2, 5, 64), torch.zeros(2, 5, dtype=torch.bool)
    filling[0, 3:] = True
    with torch.no_grad():
        found, wanted = mine(x, filling), peer.train()(x, src_key_padding_mask=filling)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_an_encoder_that_learned_nothing_hands_its_input_on():
    x = torch.randn(2, 5, 24)
    assert torch.equal(TextEncoder(24, 3)(x, torch.zeros(2, 5, dtype=torch.bool)), x)


def test_what_fills_up_changes_nothing_and_hidden_rows_are_finite():
    sequence = awake(ConditionSequence(CAPTION, 32, layers=2))
    found = sequence({"caption": TEXTS}, 4)
    assert found.shape == (4, 6, 32) and found.isfinite().all()
    with torch.no_grad():
        sequence.rows["caption"].rows.weight[1] += 5.0  # the row of the number 0
    again = sequence({"caption": TEXTS}, 4)
    assert torch.equal(again[0, :3], found[0, :3]) and torch.equal(again[2], found[2])
    assert not torch.allclose(again[0, 3:], found[0, 3:])
    alone = sequence({"caption": TEXTS[1:2]}, 1)
    torch.testing.assert_close(alone[0], again[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sequence({}, 1)[0], again[2], atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        sequence.places["caption"][0] += torch.arange(
            32
        )  # the one place that a text without letters sees
    last = sequence({"caption": TEXTS}, 4)
    assert (last[3, 1:] - again[3, 1:]).abs().max() > 1e-3


def test_a_letter_reaches_the_other_places_only_through_the_encoder():
    other = TEXTS.clone()
    other[0, 0] = 7
    for layers, reached in ((0, False), (1, True)):
        sequence = awake(ConditionSequence(CAPTION, 32, layers=layers))
        a, b = (sequence({"caption": text}, 4)[0, 1] for text in (TEXTS, other))
        assert bool((a - b).abs().max() > 1e-4) is reached


@pytest.mark.parametrize("make", [
    lambda: UNet(1, 1, 2, CAPTION, width=8, levels=2, head=8, text_layers=2),
    lambda: Dit(1, 1, 2, CAPTION, width=32, layers=2, text_layers=2),
])  # fmt: skip
def test_nets_over_grids_read_captions(make):
    net = make()
    encoder = net.sequence.encoder
    assert all(not block.out.weight.any() for block in encoder.blocks)
    awake(net)
    x, t = torch.randn(4, 1, 8, 8), torch.zeros(4)
    found = net(x, t, {"caption": TEXTS})
    swapped = net(x, t, {"caption": TEXTS.flip(0)})
    assert (found - swapped).abs().amax((1, 2, 3)).min() > 1e-4
    found.sum().backward()
    assert encoder.blocks[0].qkv.weight.grad.abs().max() > 0


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("space", [Tokens((44,), 7), Tokens((11, 4), 7)])
def test_cached_logits_after_a_caption_equal_the_full_ones(space, layers):
    """In rows that begin with 0 to 30 tokens, alone or while others go on."""
    options = {"width": 32, "layers": 2, "heads": 2, "text_layers": layers}
    net, known = awake(Transformer(space, CAPTION, **options)), (0, 1, 5, 30)
    tokens = torch.randint(0, 7, (4, 44))
    tokens[:, 0] = 7
    full, cache = net(tokens, {"caption": TEXTS}), net.cache(4)
    assert full.shape == (4, 44, 7)
    starts = [
        Fresh(i, tokens[i : i + 1, :held], {"caption": TEXTS[i : i + 1]})
        for i, held in enumerate(known)
    ]
    net.begin(cache, starts[:2])
    found = net.follow(cache, tokens[range(2), known[:2]], starts[2:])
    torch.testing.assert_close(found, full[range(2), known[:2]], atol=1e-4, rtol=0)
    lengths = torch.tensor([1, 2, 5, 30])
    for _ in range(13):
        assert torch.equal(cache.lengths, lengths)
        found = net.follow(cache, tokens[range(4), lengths])
        torch.testing.assert_close(found, full[range(4), lengths], atol=1e-4, rtol=0)
        lengths = lengths + 1
    cache.move(3, 0)
    found = net.follow(cache, tokens[[3, 1], lengths[[3, 1]]])
    torch.testing.assert_close(found, full[[3, 1], lengths[[3, 1]]], atol=1e-4, rtol=0)


def test_tokens_see_the_caption_and_what_is_before_them_alone():
    net = awake(Transformer(Tokens((12,), 7), CAPTION, width=32, layers=2, heads=2))
    tokens, cond = torch.randint(0, 7, (1, 12)), {"caption": TEXTS[:1]}
    before = net(tokens, cond)
    other = tokens.clone()
    other[0, 4] = (tokens[0, 4] + 1) % 7
    changed = (net(other, cond) - before).abs().amax(-1)[0]
    assert not changed[:4].any() and (changed[4:] > 1e-6).all()
    assert ((net(tokens, {"caption": TEXTS[1:2]}) - before).abs().amax(-1) > 1e-6).all()


def test_it_learns_which_caption_goes_with_which_tokens():
    """A word a class; after a few steps each draws its own sequence."""
    torch.manual_seed(0)
    space = Tokens((5,), 4)
    model = Autoregressive(
        space, CAPTION, net=lambda s, c: Transformer(s, c, width=32, layers=2), drop=0.0
    )
    told = torch.tensor([[2, 3, 0, 0, 0, 0], [3, 2, 0, 0, 0, 0]])
    data = torch.tensor([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]])
    learner = Learner(model, TrainOptions(lr=5e-3, schedule="constant", warmup=0.0), 60)
    rows = torch.arange(8) % 2
    micro = Micro(data[rows], {"caption": told[rows]}, 0, 8, range(8))
    losses = [learner.step(i, [micro])["nats"] for i in range(60)]
    assert losses[-1] < 0.1 * losses[0]
    assert losses[-1] < F.cross_entropy(torch.zeros(1, 4), torch.zeros(1).long()) / 10
    model.eval()
    with torch.no_grad():
        drawn = [x for x in model.sample_steps(Rng([0, 1]), {"caption": told}, top_k=1)][-1]
    assert torch.equal(drawn, data)
