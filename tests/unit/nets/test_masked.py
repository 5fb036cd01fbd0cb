"""PixelCNN and PixelRNN: what a place sees, and that sampling is the same function as training."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from genloom import sampling
from genloom.core import Rng, Tokens
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.nets.masked import Reach, Window
from genloom.nets.pixelcnn import STEM, PixelCnn, gate
from genloom.nets.pixelrnn import PixelRnn, cell, skewed, unskewed
from genloom.optim import build, matrices

LABEL = {"label": Tokens((), 2)}
NETS = {
    "cnn": partial(PixelCnn, layers=2),
    "cnn5": partial(PixelCnn, layers=2, kernel=5),
    "row": partial(PixelRnn, layers=2),
    "diagonal": partial(PixelRnn, layers=2, scan="diagonal"),
}
every_net = pytest.mark.parametrize("name", NETS)


def awake(name: str, space=Tokens((6, 5), 3), conditions=LABEL, width: int = 16):  # noqa: B008
    """A net whose zero projections are not zero."""
    torch.manual_seed(0)
    net = NETS[name](space, conditions, width=width)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


def _grads(model) -> list[torch.Tensor]:
    return [p.grad for p in model.parameters() if p.grad is not None]


def sensitivity(net, height: int, columns: int) -> torch.Tensor:
    """Of the output at each place to the embedding at each place: (L, L)."""
    shape = height, columns
    torch.manual_seed(1)
    seen = torch.randn(1, *shape, net.embed.embedding_dim, requires_grad=True)
    out = net.whole({"embed": seen}, torch.randn(1, net.cond.width)) @ torch.randn(16)
    found = []
    for place in out.flatten():
        (grad,) = torch.autograd.grad(place, seen, retain_graph=True)
        found.append(grad.abs().sum(-1).flatten())
    return torch.stack(found)


@every_net
def test_no_gradient_flows_from_the_place_itself_or_the_future(name):
    found = sensitivity(awake(name), 6, 5)
    assert (found.triu() == 0).all()


@pytest.mark.parametrize("name", ["cnn", "cnn5", "diagonal"])
def test_every_earlier_place_is_seen_there_is_no_blind_spot(name):
    found = sensitivity(awake(name), 6, 5)
    later, earlier = torch.tril_indices(30, 30, -1)
    assert (found[later, earlier] > 0).all()


def test_a_row_lstm_sees_a_triangle_above():
    found = sensitivity(awake("row", Tokens((9, 19), 3)), 9, 19)[8 * 19 + 9].view(9, 19) > 0
    # Both layers go one place to the right in each row up; the stem goes three from there.
    last = [int(row.nonzero().max()) if row.any() else -1 for row in found]
    assert last == [18, 18, 17, 16, 15, 14, 13, 12, 8]
    assert found[8].nonzero().min() == 9 - STEM - 2  # and one more to the left in each layer


@every_net
def test_changing_a_token_changes_later_logits_alone(name):
    net, tokens = awake(name), torch.randint(0, 3, (1, 30))
    tokens[0, 0] = 3
    cond = {"label": torch.tensor([1])}
    before = net(tokens, cond)
    for i in range(1, 30):
        other = tokens.clone()
        other[0, i] = (tokens[0, i] + 1) % 3
        changed = (net(other, cond) - before).abs().amax(-1)[0]
        assert (changed[:i] == 0).all()
        assert changed[i] > 1e-6 or name == "row"  # which does not see a row's last from the next


@every_net
@pytest.mark.parametrize("known", [0, 1, 8, 29])
def test_logits_one_by_one_equal_those_of_the_whole_grid(name, known):
    net, cond = awake(name), {"label": torch.tensor([0, 1, -1, 1])}
    tokens = F.pad(torch.randint(0, 3, (4, 29)), (1, 0), value=3)
    full = net(tokens, cond)
    cache = net.cache(4)
    net.begin(cache, [Fresh(0, tokens[:, :known], cond)])
    for i in range(known, 30):
        torch.testing.assert_close(
            net.follow(cache, tokens[:, i]), full[:, i], atol=1e-4, rtol=1e-4
        )


@every_net
def test_rows_at_different_places_do_not_see_each_other(name):
    """Bit for bit: a row that joins late, moves and follows others is what it is alone."""
    model = Autoregressive(Tokens((6, 5), 3), LABEL, net=partial(NETS[name], width=16)).eval()
    model.net = awake(name)

    def draw(late: int) -> torch.Tensor:
        decoding = model.decoding(8, fill=4)
        cond, nothing = {"label": torch.tensor([1])}, torch.zeros(1, 0, dtype=torch.long)
        others = []
        for k in range(late):
            others += decoding.join(Rng([100 + k]), {"label": torch.tensor([0])}, nothing)
            decoding.step()
        (row,) = decoding.join(Rng([7]), cond, torch.tensor([[2, 0, 1]]))
        if late:
            decoding.step()  # it reads what it was given
        for _ in range(5):
            decoding.step()
        if late:
            decoding.leave(others[0])
        for _ in range(22):
            decoding.step()
        return decoding.data(row.place, 1).clone()

    assert torch.equal(draw(0), draw(3))


@every_net
def test_a_sample_depends_on_its_seed_alone(name):
    model = Autoregressive(Tokens((6, 5), 3), LABEL, net=partial(NETS[name], width=16)).eval()
    model.net = awake(name)
    cond = {"label": torch.arange(6) % 2}
    together = sampling.sample(model, 6, cond)
    assert torch.equal(together, sampling.sample(model, 6, cond, batch=1))


@every_net
def test_labels_matter_and_hidden_equals_absent(name):
    net, tokens = awake(name), torch.full((2, 30), 1)
    a, b = net(tokens, {"label": torch.tensor([0, 1])})
    assert (a - b).abs().max() > 1e-3
    hidden = net(tokens, {"label": torch.tensor([-1, -1])})
    torch.testing.assert_close(hidden, net(tokens, {}))


def test_a_window_is_a_masked_convolution():
    window, x = Window(3, 4, Reach(1, 0, 2, 1)), torch.randn(2, 5, 6, 3)
    found = window(x)
    kernel = window.weight.view(4, 2, 4, 3)
    for r, c in [(0, 0), (2, 3), (4, 5)]:
        total = torch.zeros(2, 4)
        for i, y in enumerate(range(r - 1, r + 1)):
            for j, z in enumerate(range(c - 2, c + 2)):
                if 0 <= y < 5 and 0 <= z < 6:
                    total += x[:, y, z] @ kernel[:, i, j].T
        torch.testing.assert_close(found[:, r, c], total)


def test_the_gate_is_that_of_the_paper():
    x = torch.randn(5, 8)
    torch.testing.assert_close(gate(x), x[:, :4].tanh() * x[:, 4:].sigmoid())


def test_the_cell_is_that_of_torch():
    reference = torch.nn.LSTMCell(3, 4)
    x, h, c = torch.randn(6, 3), torch.randn(6, 4), torch.randn(6, 4)
    gates = F.linear(x, reference.weight_ih, reference.bias_ih)
    gates = gates + F.linear(h, reference.weight_hh, reference.bias_hh)
    i, f, g, o = gates.chunk(4, 1)  # the order of torch
    for found, expected in zip(
        cell(torch.cat([o, f, i, g], 1), c), reference(x, (h, c)), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_skewing_moves_row_r_by_r_places_and_back():
    x = torch.arange(1.0, 13).view(1, 3, 4, 1)
    moved = skewed(x)[0, :, :, 0]
    assert moved.tolist() == [[1, 2, 3, 4, 0, 0], [0, 5, 6, 7, 8, 0], [0, 0, 9, 10, 11, 12]]
    assert torch.equal(unskewed(skewed(x)), x)


@every_net
def test_muon_gets_the_matrices_of_the_blocks(name):
    net = NETS[name](Tokens((4, 4), 3), {}, width=8)
    assert len(matrices(net)) >= 6
    assert all(p is not net.embed.weight and p is not net.head.weight for p in matrices(net))


def test_what_is_no_grid_is_refused():
    with pytest.raises(BadInput, match="reads a grid"):
        PixelCnn(Tokens((7,), 3), {})


@every_net
def test_places_that_see_nothing_have_a_bounded_gradient(name):
    torch.manual_seed(0)
    model = Autoregressive(Tokens((4, 4), 3), {}, net=partial(NETS[name], width=16))
    for p in matrices(model.net):  # output maps are zero at the start
        torch.nn.init.normal_(p, std=0.1)
    model.loss(torch.zeros(2, 4, 4, dtype=torch.long), {})["nats"].backward()
    assert torch.nn.utils.get_total_norm(_grads(model)) < 10


@every_net
def test_training_finds_that_places_repeat_those_above_and_to_the_left(name):
    torch.manual_seed(0)
    model = Autoregressive(Tokens((4, 4), 2), {}, net=partial(NETS[name], width=16))
    optimizers = build(model, name="muon", lr=1e-2)

    def draw() -> torch.Tensor:
        return torch.randint(0, 2, (32, 1, 2)).repeat_interleave(2, 2).expand(-1, 4, -1)

    for _ in range(40):
        model.loss(draw(), {})["nats"].backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    nats = -model.eval().log_prob(draw(), {}).mean().item()
    assert 2 * math.log(2) - 0.3 < nats < 2.0  # two of sixteen tokens are free
