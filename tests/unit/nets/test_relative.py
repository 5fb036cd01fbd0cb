"""Relative attention: its scores pair by pair, its reach, and that sampling equals training."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from tests.unit.nets.company import KNOWN, check_batches, check_company, started, told

from genloom.core import Tokens
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.models.music_transformer import music_transformer
from genloom.nets.attention import SHARPNESS
from genloom.nets.relative import Relative, placed
from genloom.optim import build

SMALL = {"width": 16, "layers": 2, "reach": 4}


def awake(space=Tokens((12,), 7), conditions=KNOWN, **options) -> Relative:  # noqa: B008
    """A net whose weights are not small."""
    torch.manual_seed(0)
    net = Relative(space, conditions, **{**SMALL, **options})
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


@pytest.mark.parametrize(("length", "reach"), [(1, 3), (5, 2), (5, 4), (3, 6)])
def test_placing_gives_each_pair_the_row_of_its_distance(length, reach):
    scores = torch.randn(2, length, reach + 1)
    later = torch.ones(length, length).triu(1) > 0
    found = placed(scores, later)
    assert found[:, later].isneginf().all()
    assert found.shape == (2, length, length)
    for i in range(length):
        for j in range(i + 1):
            assert torch.equal(found[:, i, j], scores[:, i, min(i - j, reach)])


def test_attention_is_that_of_one_embedding_for_each_pair():
    """q k + q E of each pair, gathered in a table of L^2 D numbers."""
    net = awake(heads=2)
    q, k, v = torch.randn(3, 1, 9, 2, 8)
    seen = torch.ones(9, 9).tril() > 0
    found = net._within(seen)(1, q, k, v)
    far = (torch.arange(9)[:, None] - torch.arange(9)).clamp(0, 4)
    pairs = net.distances[1][:, far]  # (heads, L, L, features)
    scores = torch.einsum("ihf,jhf->hij", q[0], k[0]) + torch.einsum("ihf,hijf->hij", q[0], pairs)
    share = (scores * SHARPNESS / math.sqrt(8)).masked_fill(~seen, -torch.inf).softmax(-1)
    torch.testing.assert_close(found[0], torch.einsum("hij,jhf->ihf", share, v[0]))


def test_a_position_sees_no_later_one_and_all_before_it():
    net, tokens = awake(), started(1)
    before = net(tokens, told(1))
    for i in range(1, 12):
        other = tokens.clone()
        other[0, i] = (tokens[0, i] + 1) % 7
        changed = (net(other, told(1)) - before).abs().amax(-1)[0] > 1e-6
        assert changed.tolist() == [j >= i for j in range(12)]


def test_order_counts_within_the_reach_and_not_beyond_it():
    """In one layer, two words far away may change places; near ones may not."""
    net, tokens = awake(layers=1, reach=4), started(1)
    for places, same in (([1, 5], True), ([8, 10], False)):
        other = tokens.clone()
        other[0, places] = torch.tensor([0, 1])
        swapped = tokens.clone()
        swapped[0, places] = torch.tensor([1, 0])
        gap = (net(other, {})[0, -1] - net(swapped, {})[0, -1]).abs().max()
        assert (gap < 1e-5) == same


def test_documents_of_a_row_are_what_they_are_alone_and_anywhere():
    net = awake(Tokens((24,), 7, end=6), conditions={})
    document, others = started(1, 8, 6), started(1, 9, 6)
    document[:, 0] = others[:, 0] = net.start
    alone = net(document, {})[0]
    for row in ([document, others], [others, document], [others, others[:, :6], document]):
        at = sum(part.shape[1] for part in row[: [part is document for part in row].index(True)])
        found = net(torch.cat(row, 1), {})[0, at : at + 8]
        torch.testing.assert_close(found, alone)


@pytest.mark.parametrize("space", [Tokens((12,), 7), Tokens((3, 4), 7), Tokens((20,), 7)])
@pytest.mark.parametrize("reach", [2, 30])
def test_logits_one_by_one_equal_those_of_the_whole_sequence(space, reach):
    """In rows that begin with 0 to 11 tokens."""
    net, cond = awake(space, reach=reach), told(5)
    tokens, cache = started(5), net.cache(5)
    full = net(tokens, cond)
    for known in (0, 1, 6, 11):
        net.begin(cache, [Fresh(0, tokens[:, :known], cond)])
        for i in range(known, 12):
            assert cache.lengths.tolist() == [i] * 5
            found = net.follow(cache, tokens[:, i])
            torch.testing.assert_close(found, full[:, i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("width", [16, 20, 64])
def test_rows_at_different_places_do_not_see_each_other(width):
    space = Tokens((30,), 7)
    model = Autoregressive(space, KNOWN, net=partial(Relative, width=width)).eval()
    model.net = awake(space, width=width, heads=4 if width == 64 else 2)
    cond = {"label": torch.tensor([1]), "pose": torch.ones(1, 5)}
    others = {"label": lambda _: torch.tensor([0])}
    check_company(model, [2, 0, 6], cond, others, after=22)


def test_a_sample_depends_on_its_seed_alone():
    model = Autoregressive(Tokens((12,), 7), KNOWN, net=Relative).eval()
    model.net = awake()
    check_batches(model)


def test_a_condition_that_it_would_not_read_is_refused():
    with pytest.raises(BadInput, match="not seen: take"):
        Relative(Tokens((12,), 7), {**KNOWN, "seen": Tokens((4,), 5)})


def test_training_finds_what_lies_at_a_distance():
    """Each token is the one three before it; only its place tells which that is."""
    torch.manual_seed(0)
    model = music_transformer(Tokens((9,), 4), {}, width=32, layers=2)
    optimizers = build(model, lr=1e-2)

    def draw() -> torch.Tensor:
        return torch.randint(0, 4, (64, 3)).repeat(1, 3)

    for _ in range(120):
        model.loss(draw(), {})["nats"].backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    nats = -model.eval().log_prob(draw(), {}).mean().item()
    assert 3 * math.log(4) - 0.05 < nats < 3 * math.log(4) + 0.5


def test_the_preset_makes_its_net():
    model = music_transformer(Tokens((9,), 4), {}, width=8, layers=3, reach=5, drop=0.3)
    net = model.net
    assert isinstance(net, Relative) and len(net.blocks) == 3 and model.drop == 0.3
    assert net.distances.shape == (3, 2, 6, 4)
