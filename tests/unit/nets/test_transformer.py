"""The transformer: causal, equal with and without its cache, its hand-written gradients right."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from genloom.core import Tokens
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.nets.pointwise import feed_forward, rms_norm, rotate
from genloom.nets.transformer import Transformer
from genloom.optim import matrices

LABEL = {"label": Tokens((), 3)}


def awake(space=Tokens((12,), 7), conditions=LABEL, **options) -> Transformer:  # noqa: B008
    """A net whose zero projections are not zero."""
    torch.manual_seed(0)
    net = Transformer(space, conditions, width=32, layers=2, heads=2, **options)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


@pytest.mark.parametrize("space", [Tokens((12,), 7), Tokens((3, 4), 7), Tokens((6, 2), 7)])
def test_position_i_sees_tokens_up_to_i_and_no_others(space):
    net = awake(space)
    tokens = torch.randint(0, 8, (1, 12))
    cond = {"label": torch.tensor([1])}
    before = net(tokens, cond)
    for i in range(12):
        other = tokens.clone()
        other[0, i] = (tokens[0, i] + 1) % 8
        changed = (net(other, cond) - before).abs().amax(-1)[0]
        assert torch.equal(changed[:i], torch.zeros(i))
        assert (changed[i:] > 1e-6).all()


def test_no_gradient_flows_from_the_future():
    net = awake(conditions={})
    seen = []
    net.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    tokens = torch.randint(0, 8, (1, 12))
    logits = net(tokens, {})
    for i in range(12):
        (grad,) = torch.autograd.grad(logits[0, i].sum(), seen[0], retain_graph=True)
        strength = grad[0].abs().sum(-1)
        assert (strength[: i + 1] > 0).all()
        assert (strength[i + 1 :] == 0).all()


@pytest.mark.parametrize("space", [Tokens((44,), 7), Tokens((11, 4), 7)])
def test_cached_logits_equal_the_full_ones(space):
    """In rows that begin with 0 to 43 tokens, and go on side by side."""
    net, known = awake(space), (0, 1, 5, 30, 43)
    tokens = torch.randint(0, 7, (5, 44))
    tokens[:, 0] = 7
    cond = {"label": torch.tensor([1, 0, -1, 2, 1])}
    full, cache = net(tokens, cond), net.cache(5)
    for i, held in enumerate(known):
        net.begin(cache, [Fresh(i, tokens[i : i + 1, :held], {"label": cond["label"][i : i + 1]})])
    lengths = torch.tensor(known)
    for _ in range(44):
        assert torch.equal(cache.lengths, lengths)
        at = lengths.clamp(max=43)
        cache.lengths.clamp_(max=43)  # those that are full read their last token again
        found = net.follow(cache, tokens[range(5), at])
        torch.testing.assert_close(found, full[range(5), at], atol=1e-4, rtol=0)
        lengths = at + 1


def test_a_row_is_what_it_was_after_a_move():
    net = awake(Tokens((11, 4), 7))
    cache, tokens = net.cache(2), torch.randint(0, 7, (1, 30))
    for row, held in enumerate((4, 30)):
        net.begin(cache, [Fresh(row, tokens[:, :held], {"label": torch.tensor([row])})])
    expected = net.follow(cache, torch.tensor([1, 2]))
    net.begin(cache, [Fresh(1, tokens, {"label": torch.tensor([1])})])
    cache.move(1, 0)
    torch.testing.assert_close(net.follow(cache, torch.tensor([2])), expected[1:])


def test_a_grid_shows_each_position_its_known_neighbours():
    net = awake(Tokens((3, 4), 12), {})
    tokens = torch.cat([torch.tensor([12]), torch.arange(11)])[None]  # the start, then datum 0, 1..
    rows = net.embed.weight.view(4, 13, -1)
    # before datum 6, in row 1 and column 2: left of it 5, above right 3, above 2, above left 1
    expected = rows[0, 5] + rows[1, 3] + rows[2, 2] + rows[3, 1]
    torch.testing.assert_close(net._embed(tokens)[0, 6], expected)
    expected = rows[:, 12].sum(0)  # before the first datum there is the start token alone
    torch.testing.assert_close(net._embed(tokens)[0, 0], expected)


def test_labels_matter_and_hidden_equals_absent():
    net = awake()
    tokens = torch.randint(0, 8, (2, 12))
    one, two = (net(tokens, {"label": torch.tensor([c, c])}) for c in (0, 1))
    assert (one - two).abs().max() > 1e-2
    hidden = net(tokens, {"label": torch.tensor([-1, -1])})
    torch.testing.assert_close(hidden, net(tokens, {}))


def test_logits_start_even_and_stay_within_the_cap():
    torch.manual_seed(0)
    net = Transformer(Tokens((12,), 7), {}, width=32, heads=2)
    tokens = torch.randint(0, 8, (4, 12))
    assert net(tokens, {}).abs().max() < 0.05
    net.head.weight.data.mul_(1e6)
    assert net(tokens, {}).abs().max() <= 15


def test_muon_gets_the_matrices_of_the_blocks():
    net = Transformer(Tokens((12,), 7), LABEL, width=32, layers=2, heads=2)
    assert len(matrices(net)) == 2 * 4
    assert sum(p.numel() for p in matrices(net)) == 2 * 12 * 32**2


def test_dropout_acts_in_training_alone():
    net = awake(dropout=0.5)
    tokens = torch.randint(0, 8, (2, 12))
    assert torch.equal(net(tokens, {}), net(tokens, {}))
    net.train()
    assert not torch.equal(net(tokens, {}), net(tokens, {}))


def test_odd_head_size_is_refused():
    with pytest.raises(BadInput, match="Choose a multiple of 6"):
        Transformer(Tokens((12,), 7), {}, width=32, heads=3)


def plain_rotate(qkv, turns):
    x = qkv[:, :, :-1]
    x = x / (x.square().mean(-1, keepdim=True)).sqrt()
    even, odd = x[..., ::2], x[..., 1::2]
    cos, sin = turns.real, turns.imag
    x = torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)
    return x[:, :, :-1].flatten(2, 3), x[:, :, -1], qkv[:, :, -1]


def test_a_half_precision_step_goes_back_in_the_same_types():
    torch.manual_seed(0)
    args = [torch.randn(s) for s in ((2, 5, 8), (24, 8), (8, 24))]
    grads = []
    for half in (True, False):
        own = [v.clone().requires_grad_() for v in args]
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = feed_forward(*own)
        assert y.dtype == (torch.bfloat16 if half else torch.float32)
        y.float().square().sum().backward()
        grads.append([v.grad for v in own])
    for found, wanted in zip(*grads, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05 * float(wanted.abs().max()))


def test_hand_written_steps_equal_plain_torch_in_value_and_gradient():
    torch.manual_seed(0)
    turns = torch.polar(torch.ones(5, 1, 1, 4), torch.randn(5, 1, 1, 4))
    cases = [
        (rms_norm, lambda x: x / x.square().mean(-1, keepdim=True).sqrt(), [(2, 5, 8)]),
        (
            feed_forward,
            lambda x, up, down: F.linear(F.linear(x, up).relu().square(), down),
            [(2, 5, 8), (24, 8), (8, 24)],
        ),
        (
            lambda x: torch.stack(rotate(x, turns)),
            lambda x: torch.stack(plain_rotate(x, turns)),
            [(2, 5, 3, 2, 8)],
        ),
        (
            lambda x: torch.cat(rotate(x, turns), 2),
            lambda x: torch.cat(plain_rotate(x, turns), 2),
            [(2, 5, 6, 2, 8)],
        ),
    ]
    for lean, plain, shapes in cases:
        args = [torch.randn(s, requires_grad=True) for s in shapes]
        y, expected = lean(*args), plain(*args)
        torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(lean(*args), expected, atol=1e-5, rtol=1e-5)
        weight = torch.randn_like(y)
        found = torch.autograd.grad((y * weight).sum(), args)
        wanted = torch.autograd.grad((expected * weight).sum(), args)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_attention_depends_on_relative_position_alone():
    torch.manual_seed(0)
    net = Transformer(Tokens((12,), 7), {}, width=32, heads=2)
    x = torch.randn(1, 1, 3, 2, 16).expand(1, 12, 3, 2, 16)  # one content at every position
    q, k, _ = rotate(x, torch.view_as_complex(net.turns)[:, None, None])
    scores = torch.einsum("lhd,mhd->hlm", q[0], k[0])
    for offset in range(-11, 12):
        diagonal = scores.diagonal(offset, 1, 2)
        assert (diagonal - diagonal[:, :1]).abs().max() < 1e-4
