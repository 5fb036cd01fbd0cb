"""Recurrent nets: what a state has read, and that sampling is the same function as training."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from tests.unit.nets.company import check_batches, check_company

from genloom.core import Real, Tokens, rows
from genloom.decoding.rows import Fresh
from genloom.models.autoregressive import Autoregressive
from genloom.nets.recurrent import CELLS, Recurrent
from genloom.optim import build

LABEL = {"label": Tokens((), 3)}
ALL = {**LABEL, "caption": Tokens((4,), 5), "pose": Real((5,))}
every_cell = pytest.mark.parametrize("cell", CELLS)


def awake(cell: str, space=Tokens((12,), 7), conditions=ALL, width: int = 16, **options):  # noqa: B008
    """A net whose weights are not small."""
    torch.manual_seed(0)
    net = Recurrent(space, conditions, cell=cell, width=width, **options)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


def told(n: int) -> dict[str, torch.Tensor]:
    """Conditions of n rows, some of them hidden."""
    return {
        "label": torch.arange(n) % 4 - 1,
        "caption": torch.arange(4 * n).view(n, 4) % 6 - 1,
        "pose": torch.linspace(-1, 1, 5 * n).view(n, 5),
    }


def started(n: int, space: Tokens) -> torch.Tensor:
    """Tokens that a net reads: the start token, then n rows of a datum but for its last."""
    length = torch.Size(space.shape).numel()
    return F.pad(torch.randint(0, space.vocab, (n, length - 1)), (1, 0), value=space.vocab)


@every_cell
def test_position_i_sees_tokens_up_to_i_and_no_others(cell):
    net, tokens = awake(cell), torch.randint(0, 8, (1, 12))
    before = net(tokens, told(1))
    for i in range(12):
        other = tokens.clone()
        other[0, i] = (tokens[0, i] + 1) % 8
        changed = (net(other, told(1)) - before).abs().amax(-1)[0]
        assert torch.equal(changed[:i], torch.zeros(i))
        assert changed[i] > 1e-4


@every_cell
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("space", [Tokens((12,), 7), Tokens((3, 4), 7)])
def test_logits_one_by_one_equal_those_of_the_whole_sequence(cell, tied, space):
    """In rows that begin with 0 to 11 tokens."""
    net, cond = awake(cell, space, tied=tied), told(5)
    tokens, cache = started(5, space), net.cache(5)
    full = net(tokens, cond)
    for known in (0, 1, 6, 11):
        net.begin(cache, [Fresh(0, tokens[:, :known], cond)])
        for i in range(known, 12):
            assert cache.lengths.tolist() == [i] * 5
            found = net.follow(cache, tokens[:, i])
            torch.testing.assert_close(found, full[:, i], atol=1e-5, rtol=1e-4)


@every_cell
@pytest.mark.parametrize("width", [16, 7])
def test_rows_at_different_places_do_not_see_each_other(cell, width):
    space = Tokens((30,), 7)
    model = Autoregressive(space, ALL, net=partial(Recurrent, cell=cell, width=width)).eval()
    model.net = awake(cell, space, width=width)
    cond = {"label": torch.tensor([1]), "caption": torch.tensor([[3, 1, 4, -1]])}
    others = {"label": lambda _: torch.tensor([0]), "caption": lambda k: torch.full((1, 4), k)}
    check_company(model, [2, 0, 6], cond, others, after=22)


@every_cell
def test_rows_that_begin_together_are_what_they_are_alone(cell):
    """Bit for bit, on a prefix, a label, a caption and numbers."""
    net, cond = awake(cell), told(7)
    tokens, together, alone = started(7, Tokens((12,), 7))[:, :9], net.cache(8), net.cache(8)
    net.begin(together, [Fresh(0, tokens, cond)])
    for i in range(7):
        one = {name: v[i : i + 1] for name, v in cond.items()}
        net.begin(alone, [Fresh(i, tokens[i : i + 1], one)])
    assert torch.equal(together.states, alone.states) and together.states[:, :, :7].abs().min() > 0
    assert torch.equal(together.cond, alone.cond)


def test_a_row_is_what_it_was_after_a_move():
    net, cond = awake("lstm"), told(2)
    tokens, cache = started(2, Tokens((12,), 7)), net.cache(2)
    net.begin(cache, [Fresh(0, tokens[:, :8], cond)])
    cache.move(1, 0)
    assert torch.equal(*cache.states.unbind(2)) and torch.equal(*cache.cond)
    assert cache.lengths.tolist() == [8, 8]


def test_a_sample_depends_on_its_seed_alone():
    model = Autoregressive(Tokens((12,), 7), LABEL, net=Recurrent).eval()
    model.net = awake("gru", conditions=LABEL)
    check_batches(model)


@every_cell
@torch.no_grad()
def test_a_step_is_that_of_the_articles(cell):
    net = awake(cell, layers=1)
    (layer,) = net.layers
    w, u, b, d = layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0
    x, state = torch.randn(6, 16), torch.randn(CELLS[cell].parts, 6, 16)
    h, before, now = state[0], state[0] @ u.T + d, x @ w.T + b
    if cell == "rnn":
        expected = [(now + before).tanh()]
    elif cell == "lstm":
        i, f, g, o = (now + before).chunk(4, 1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        expected = [o.sigmoid() * c.tanh(), c]
    else:
        (r, z, n), (r_before, z_before, n_before) = now.chunk(3, 1), before.chunk(3, 1)
        n = (n + (r + r_before).sigmoid() * n_before).tanh()
        z = (z + z_before).sigmoid()
        expected = [(1 - z) * n + z * h]
    states = state[None].clone()
    out = net._advance(states, x)
    torch.testing.assert_close(states[0], torch.stack(expected))
    assert torch.equal(out, states[0, 0])


def test_the_forget_gate_starts_open():
    torch.manual_seed(0)
    for layer in Recurrent(Tokens((4,), 3), {}, width=8, layers=3).layers:
        gates = (layer.bias_ih_l0 + layer.bias_hh_l0).view(4, 8)
        assert torch.equal(gates[1], torch.ones(8))
        assert gates[[0, 2, 3]].abs().max() < 2 / math.sqrt(8)  # the others as torch has them


@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_output_has_the_weights_of_the_embedding(tied):
    net = Recurrent(Tokens((4,), 50), {}, width=8, layers=1, tied=tied)
    count = sum(p.numel() for p in net.parameters())
    recurrent = sum(p.numel() for p in net.layers.parameters())
    assert count == recurrent + 51 * 8 + 50 + (0 if tied else 50 * 8)
    before = net._logits(torch.ones(1, 8)).detach()
    with torch.no_grad():
        net.embed.weight[3] += 1
    moved = net._logits(torch.ones(1, 8))[0] - before[0]
    expected = torch.zeros(50).index_fill(0, torch.tensor(3), 8.0 * tied)
    torch.testing.assert_close(moved.detach(), expected, atol=1e-5, rtol=0)


@every_cell
def test_labels_and_captions_matter_and_hidden_equals_absent(cell):
    net, tokens = awake(cell), torch.full((2, 12), 1)
    for name, values in (("label", [0, 1]), ("caption", [[0, 1, 2, 3], [0, 1, 2, 4]])):
        a, b = net(tokens, {name: torch.tensor(values)})
        assert (a - b).abs().max() > 1e-3
    hidden = {"label": torch.full((2,), -1), "caption": torch.full((2, 4), -1)}
    torch.testing.assert_close(net(tokens, hidden), net(tokens, {}))


def test_dropout_is_between_layers_and_before_the_output_alone():
    net, seen = awake("rnn", layers=2, dropout=0.5), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _, args, out: seen.append((args[0], out[0])))
    for training in (False, True):
        seen.clear()
        net.train(training)
        torch.manual_seed(1)
        net(torch.randint(0, 8, (8, 12)), {})
        (first, below), (above, _) = seen
        assert (first != 0).all() and (below != 0).all()
        kept = above != 0
        assert 0.45 < kept.float().mean() < 0.55 if training else kept.all()
        torch.testing.assert_close(above[kept], below[kept] * (2 if training else 1))
    net.dropout.share = 0.0
    plain = net(torch.ones(1, 12, dtype=torch.long), {})
    net.dropout.share = 0.5
    assert not torch.equal(net(torch.ones(1, 12, dtype=torch.long), {}), plain)


def test_documents_of_a_batch_that_is_drawn_in_parts_lose_the_same_numbers():
    """Micro-batches of several documents a row are the whole batch, dropout and all."""
    torch.manual_seed(0)
    net = Recurrent(Tokens((12,), 8, end=7), {}, width=32, dropout=0.5)
    tokens = torch.randint(0, 7, (4, 12))
    tokens[:, 0] = tokens[1:, 5] = tokens[2:, 9] = net.start

    def drawn(start: int, stop: int) -> torch.Tensor:
        torch.manual_seed(1)
        with rows(start, 4):
            return net(tokens[start:stop], {})

    whole, halves = drawn(0, 4), torch.cat([drawn(0, 2), drawn(2, 4)])
    torch.testing.assert_close(whole, halves)
    net.dropout.share = 0.0
    assert not torch.allclose(drawn(0, 4), whole, atol=1e-2)


@every_cell
def test_training_finds_that_the_first_token_comes_again(cell):
    torch.manual_seed(0)
    net = partial(Recurrent, cell=cell, width=32, layers=1, dropout=0.0)
    model = Autoregressive(Tokens((5,), 4), {}, net=net)
    (optimizer,) = build(model, lr=1e-2)

    def draw() -> torch.Tensor:
        first = torch.randint(0, 4, (64, 1))
        return torch.cat([first, torch.zeros(64, 3, dtype=torch.long), first], 1)

    for _ in range(120):
        model.loss(draw(), {})["nats"].backward()
        optimizer.step()
        optimizer.zero_grad()
    nats = -model.eval().log_prob(draw(), {}).mean().item()
    assert math.log(4) - 0.05 < nats < math.log(4) + 0.4  # one of five tokens is free
