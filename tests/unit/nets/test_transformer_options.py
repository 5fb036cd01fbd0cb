"""The decoder's options: grouped queries, a sliding window, a tied head, a gated net."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from genloom.core import Rng, Tokens
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.nets.attention import sliding
from genloom.nets.transformer import Transformer
from genloom.optim import matrices

CAPTION = {"caption": Tokens((6,), 9)}
OPTIONS = {
    "grouped": {"kv_heads": 2},
    "one": {"kv_heads": 1},
    "sliding": {"window": 5},
    "tied": {"tied": True},
    "gated": {"gated": True},
    "all": {"kv_heads": 2, "window": 17, "tied": True, "gated": True},
}
every_option = pytest.mark.parametrize("name", OPTIONS)


def made(space=Tokens((44,), 7), conditions=CAPTION, **options) -> Transformer:  # noqa: B008
    return Transformer(space, conditions, **{"width": 32, "layers": 2, "heads": 4} | options)


def awake(*args, **options) -> Transformer:
    """A net whose zero projections are not zero."""
    torch.manual_seed(0)
    net = made(*args, **options)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


def strengths(net: Transformer, length: int) -> torch.Tensor:
    """How much the logits of each token change with what the first block reads at each place."""
    seen = []
    net.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    tokens, cond = torch.randint(0, 8, (1, length)), {"caption": torch.randint(0, 9, (1, 6))}
    logits = net(tokens, cond)
    grads = [torch.autograd.grad(row.sum(), seen[0], retain_graph=True)[0] for row in logits[0]]
    return torch.cat(grads).abs().sum(-1)


@every_option
def test_no_gradient_flows_from_the_future(name):
    found = strengths(awake(Tokens((12,), 7), **OPTIONS[name] | {"window": 0}), 12)
    assert torch.equal(found > 0, torch.ones(12, 18, dtype=torch.bool).tril(6))


def test_no_gradient_flows_from_outside_the_window():
    """One block sees the last 4 tokens and the caption, two blocks the last 7."""
    place = torch.arange(12)
    back = place[:, None] - place
    for layers, reach in ((1, 4), (2, 7)):
        net = awake(Tokens((12,), 7), layers=layers, window=4, kv_heads=2)
        found = strengths(net, 12) > 0
        assert found[:, :6].all()
        assert torch.equal(found[:, 6:], (back >= 0) & (back < reach))


def test_what_a_window_shows():
    seen = sliding(7, 2, 3, torch.device("cpu"))
    wanted = [[j for j in range(i + 1) if j < 2 or i - j < 3] for i in range(7)]
    assert [row.nonzero().flatten().tolist() for row in seen] == wanted


def test_a_window_of_the_whole_length_changes_nothing():
    tokens, cond = torch.randint(0, 7, (2, 44)), {"caption": torch.randint(0, 9, (2, 6))}
    whole = awake()(tokens, cond)
    assert torch.equal(awake(window=44)(tokens, cond), whole)
    assert torch.equal(awake(window=10**6)(tokens, cond), whole)
    narrow = awake(window=43)(tokens, cond)
    torch.testing.assert_close(narrow[:, :43], whole[:, :43], atol=1e-5, rtol=1e-5)
    assert (narrow[:, 43] - whole[:, 43]).abs().max() > 1e-4


@every_option
@pytest.mark.parametrize("conditions", [{}, CAPTION])
@pytest.mark.parametrize("space", [Tokens((44,), 7), Tokens((11, 4), 7)])
def test_cached_logits_equal_the_full_ones(name, conditions, space):
    """In rows that begin with 0 to 40 tokens, alone or while others go on, to the last token."""
    net, known = awake(space, conditions, **OPTIONS[name]), (0, 3, 19, 40)
    tokens, captions = torch.randint(0, 7, (4, 44)), torch.randint(0, 9, (4, 6))
    tokens[:, 0] = 7
    cond = [{"caption": captions[i : i + 1]} if conditions else {} for i in range(4)]
    full, cache = net(tokens, {"caption": captions} if conditions else {}), net.cache(4)
    cache.keys.fill_(torch.nan)  # as memory that was never written may hold
    cache.values.fill_(torch.nan)
    starts = [Fresh(i, tokens[i : i + 1, :held], cond[i]) for i, held in enumerate(known)]
    net.begin(cache, [starts[0], starts[3]])
    lengths = torch.tensor(known)
    found = net.follow(cache, tokens[:1, 0], starts[1:3])
    torch.testing.assert_close(found, full[:1, 0], atol=1e-4, rtol=0)
    lengths[0] = 1
    for _ in range(44):
        assert torch.equal(cache.lengths, lengths)
        at = lengths.clamp(max=43)
        cache.lengths.clamp_(max=43)  # those that are full read their last token again
        found = net.follow(cache, tokens[range(4), at])
        torch.testing.assert_close(found, full[range(4), at], atol=1e-4, rtol=0)
        lengths = at + 1


@every_option
def test_only_the_slots_that_are_used_are_written(name):
    """Those of rows that have not begun, and beyond the fullest one, take no memory."""
    net, tokens = awake(**OPTIONS[name]), torch.randint(0, 7, (2, 9))
    cache, cond = net.cache(4), {"caption": torch.randint(0, 9, (2, 6))}
    cache.keys.fill_(torch.nan)
    net.begin(cache, [Fresh(0, tokens, cond)])
    net.follow(cache, tokens[:, 0])
    used = min(16, cache.keys.shape[3])
    assert cache.keys[:, :2, :, :used].isfinite().all()
    assert cache.keys[:, :2, :, used:].isnan().all()
    assert cache.keys[:, 2:].isnan().all()


@every_option
def test_a_row_that_begins_anew_keeps_nothing(name):
    """Not even what is no number, which no mask takes away."""
    net, tokens = awake(**OPTIONS[name]), torch.randint(0, 7, (1, 30))
    cache, cond = net.cache(1), {"caption": torch.randint(0, 9, (1, 6))}
    net.begin(cache, [Fresh(0, tokens, cond)])
    net.follow(cache, tokens[:, 0])
    wanted = net(F.pad(tokens[:, :1], (1, 0), value=7), cond)
    for part in (cache.keys, cache.values):
        part[part.isfinite()] = torch.nan
    net.begin(cache, [Fresh(0, torch.tensor([[7]]), cond)])
    found = net.follow(cache, tokens[:, 0])
    torch.testing.assert_close(found, wanted[:, 1], atol=1e-4, rtol=0)


@every_option
def test_a_row_is_what_it_was_after_a_move(name):
    net, tokens = awake(**OPTIONS[name]), torch.randint(0, 7, (2, 30))
    cache, caption = net.cache(2), torch.randint(0, 9, (2, 6))
    for row, held in enumerate((9, 29)):
        given = tokens[row : row + 1, :held]
        net.begin(cache, [Fresh(row, given, {"caption": caption[row : row + 1]})])
    net.follow(cache, tokens[:, 29])
    full = net(F.pad(tokens[1:], (0, 1), value=2), {"caption": caption[1:]})
    cache.move(1, 0)
    torch.testing.assert_close(net.follow(cache, torch.tensor([2])), full[:, 30], atol=1e-4, rtol=0)


@every_option
def test_a_row_does_not_depend_on_its_company(name):
    """Bit for bit: a row that joins late, moves and follows others has the logits it has alone."""
    net = partial(made, **OPTIONS[name])
    model = Autoregressive(Tokens((44,), 7), CAPTION, net=net).eval()
    model.net = awake(**OPTIONS[name])
    prompt = torch.arange(23)[None] % 7

    def draw(late: int) -> torch.Tensor:
        decoding, others = model.decoding(8, fill=4), []
        for k in range(late):
            cond = {"caption": torch.full((1, 6), k)}
            others += decoding.join(Rng([100 + k]), cond, prompt[:, : 5 * k])
            decoding.step()
        cond = {"caption": torch.arange(6)[None]}
        (row,) = decoding.join(Rng([7]), cond, prompt)
        if late:
            decoding.step()  # it reads what it was given
        found = []
        for i in range(12):
            if late and i == 5:
                decoding.leave(others[0])
            decoding.step()
            assert decoding.logits is not None
            found.append(decoding.logits[row.place].clone())
        return torch.stack(found)

    alone = draw(0)
    assert torch.equal(draw(5), alone) and torch.equal(draw(2), alone)


def test_heads_of_a_group_share_their_keys_and_values():
    """The net whose keys and values are written out once a head says the same."""
    grouped, whole = awake(kv_heads=2), awake()
    state = grouped.state_dict()
    for name, stack in state.items():
        if name.endswith("qkv"):
            q, k, v = stack[:2].flatten(0, 1), stack[2], stack[3]
            k, v = (p.view(2, 8, 32).repeat_interleave(2, 0).flatten(0, 1) for p in (k, v))
            state[name] = torch.stack([q, k, v])
    whole.load_state_dict(state)
    tokens, cond = torch.randint(0, 7, (2, 44)), {"caption": torch.randint(0, 9, (2, 6))}
    for window in (44, 5):
        grouped.span = whole.span = window
        found, wanted = grouped(tokens, cond), whole(tokens, cond)
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
        weight = torch.randn_like(found)
        first, second = (
            torch.autograd.grad((y * weight).sum(), net.embed.weight)[0]
            for y, net in ((found, grouped), (wanted, whole))
        )
        torch.testing.assert_close(first, second, atol=1e-3, rtol=1e-3)


def test_options_change_the_sizes_of_weights_and_cache():
    def size(**options) -> int:
        return sum(p.numel() for p in made(conditions={}, **options).parameters())

    whole = size()
    assert size(kv_heads=4) == size(window=5) == whole
    assert whole - size(kv_heads=2) == 2 * 2 * 32 * 16  # layers, keys and values, (in, out)
    assert whole - size(kv_heads=1) == 2 * 2 * 32 * 24
    assert whole - size(tied=True) == 7 * 32
    assert size(gated=True) - whole == 2 * 32 * 128
    assert made().cache(3).keys.shape == (2, 3, 4, 64, 8)
    assert made(kv_heads=1).cache(3).keys.shape == (2, 3, 1, 64, 8)
    assert made(window=10).cache(3).keys.shape == (2, 3, 4, 16, 8)  # 6 of the caption, 10 tokens


def test_muon_gets_the_matrices_of_groups():
    net = made(kv_heads=2, gated=True, tied=True)
    shapes = [tuple(p.shape) for p in matrices(net)]
    assert shapes == 2 * [(4, 16, 32), (32, 32), (256, 32), (32, 128)]


def test_a_tied_head_reads_the_embeddings_of_tokens():
    net = awake(Tokens((3, 4), 7), {}, tied=True)
    tokens, seen = torch.randint(0, 8, (2, 12)), []
    assert not any(name.startswith("head") for name in net.state_dict())
    net.blocks[-1].register_forward_hook(lambda *args: seen.append(args[2]))
    logits = net(tokens, {})
    x = seen[0] / seen[0].square().mean(-1, keepdim=True).sqrt()
    wanted = 15 * (x @ net.embed.weight[:7].T / 15).tanh()
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)


def test_a_tied_net_starts_almost_even_at_any_width():
    for width in (32, 512):
        torch.manual_seed(0)
        net = Transformer(Tokens((12,), 7), {}, width=width, layers=1, tied=True)
        tokens = torch.randint(0, 7, (64, 12))
        own = net(tokens, {}).gather(-1, tokens[..., None]).mean()
        assert 2 < own < 4


def test_a_gated_net_is_swiglu():
    block = awake(gated=True).blocks[0]
    x = torch.randn(2, 5, 32)
    gate, value = (x @ part.T for part in block.up.weight.view(2, 128, 32))
    wanted = (gate * gate.sigmoid() * value) @ block.down.weight.T
    torch.testing.assert_close(block._feed(x), wanted, atol=1e-4, rtol=1e-4)


def test_heads_that_cannot_be_shared_evenly_are_refused():
    with pytest.raises(BadInput, match="Choose a divisor of 4"):
        made(kv_heads=3)
