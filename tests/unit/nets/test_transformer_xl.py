"""Transformer-XL: what a segment sees, what its scores are, and that sampling equals training."""

from __future__ import annotations

import itertools
import math
from functools import partial

import pytest
import torch
from tests.unit.nets.company import KNOWN, check_batches, check_company, started, told

from genloom.core import Real, Tokens, rows
from genloom.decoding.rows import Fresh
from genloom.errors import BadInput
from genloom.models.autoregressive import Autoregressive
from genloom.models.transformer_xl import transformer_xl
from genloom.nets import transformer_xl as net_module
from genloom.nets.attention import SHARPNESS, Shifted
from genloom.nets.pointwise import rms_norm
from genloom.nets.transformer_xl import TransformerXl, waves
from genloom.optim import build

SMALL = {"width": 16, "layers": 2, "segment": 3, "memory": 4}


def awake(space=Tokens((12,), 7), conditions=KNOWN, **options) -> TransformerXl:  # noqa: B008
    """A net whose weights are not small."""
    torch.manual_seed(0)
    net = TransformerXl(space, conditions, **{**SMALL, **options})
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.eval()


@pytest.mark.parametrize("memory", [0, 2, 4])
def test_a_position_sees_its_segment_and_the_memory_before_it(memory):
    """In one layer; each further one sees what those places have seen."""
    net, tokens = awake(layers=1, memory=memory), started(1)
    before = net(tokens, told(1))
    for i in range(12):
        other = tokens.clone()
        other[0, i] = (tokens[0, i] + 1) % 7
        changed = (net(other, told(1)) - before).abs().amax(-1)[0] > 1e-5
        reach = [j >= i and i >= j - j % 3 - memory for j in range(12)]
        assert changed.tolist() == reach, i


def test_layers_hand_on_what_they_remember():
    net, tokens = awake(layers=3, memory=3), started(1)
    before = net(tokens, {})
    tokens[0, 1] = (tokens[0, 1] + 1) % 7
    changed = (net(tokens, {}) - before).abs().amax(-1)[0]
    assert changed[1:].min() > 1e-5  # two segments back and more


def test_memories_have_no_gradient():
    net = awake(memory=12)
    x = torch.randn(1, 12, 16, requires_grad=True)
    net._segments(x)[0, 11].sum().backward()
    assert torch.equal(x.grad[0, :9], torch.zeros(9, 16))
    assert x.grad[0, 9:].abs().amax(1).min() > 1e-4


def test_scores_have_the_four_terms_of_the_article():
    """q k + q W R + u k + v W R of each pair of places, one by one."""
    net = awake(layers=1, heads=2)
    (layer,) = net.blocks
    x, memory = torch.randn(1, 3, 16), torch.randn(1, 4, 16)
    q, *own = layer.read(x)
    k, v = (torch.cat(parts, 2) for parts in zip(layer.recall(memory), own, strict=True))
    by_place = layer.distances(q, net.waves[:7].flip(0))
    found = layer.attend(q, k, v, Shifted.apply(by_place, torch.ones(3, 7).triu(5) > 0))
    u, w = layer.biases[:, :, 0]
    for head in range(2):
        for i in range(3):
            scores = []
            for j in range(i + 5):
                r = (layer.maps[3] @ net.waves[i + 4 - j]).view(2, 8)[head]
                key, query = k[0, head, j], q[0, head, i]
                scores.append((query + u[head]) @ key + (query + w[head]) @ r)
            share = (torch.stack(scores) * SHARPNESS / math.sqrt(8)).softmax(0)
            wanted = share @ v[0, head, : i + 5]
            torch.testing.assert_close(found[0, i].view(2, 8)[head], wanted, atol=1e-5, rtol=1e-4)


def test_waves_are_sinusoids_of_the_distance():
    found = waves(5, 6)
    for distance in range(5):
        angles = [distance * 10_000 ** -(2 * i / 6) for i in range(3)]
        wanted = [*map(math.sin, angles), *map(math.cos, angles)]
        torch.testing.assert_close(found[distance], torch.tensor(wanted))


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("memory", [0, 2, 7])
def test_shifting_gives_each_pair_its_distance(length, memory):
    """A segment of so many after so many places of memory; a score is its distance."""
    places = length + memory
    far = torch.arange(places).flip(0).expand(length, places)
    hidden = torch.ones(length, places).triu(memory + 1) > 0
    found = Shifted.apply(far, hidden)
    for i in range(length):
        seen = [i + memory - j for j in range(i + memory + 1)]
        assert found[i].tolist() == seen + [-math.inf] * (places - len(seen))


@pytest.mark.parametrize(("length", "memory"), [(1, 0), (1, 3), (2, 0), (4, 3), (3, 5)])
def test_a_score_has_the_gradient_of_its_place(length, memory):
    scores = torch.randn(2, length, length + memory, dtype=torch.float64, requires_grad=True)
    hidden = torch.ones(length, length + memory).triu(memory + 1) > 0

    def shares(x: torch.Tensor) -> torch.Tensor:
        return Shifted.apply(x, hidden).softmax(-1)

    assert torch.autograd.gradcheck(shares, (scores,))


@pytest.mark.parametrize("scores", [1, 100])
def test_segments_in_groups_are_what_they_are_together(scores, monkeypatch):
    net, x = awake(), torch.randn(2, 11, 16)
    together = net._segments(x)
    monkeypatch.setattr(net_module, "TABLE", scores)
    torch.testing.assert_close(net._segments(x), together)


@pytest.mark.parametrize("memory", [0, 2, 4, 30])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 12])
def test_segments_at_once_are_what_they_are_one_by_one(length, memory):
    """With the gradients of all weights."""
    net, twin = awake(memory=memory, dropout=0.0), awake(memory=memory)
    x = torch.randn(2, length, 16)
    found = net._segments(x)
    known = [[] for _ in twin.blocks]  # what each layer has read, segment by segment
    made = []
    for part in x.split(3, 1):
        h = first = rms_norm(part)
        for i, layer in enumerate(twin._layers()):
            h = h + first * twin.mix[i - 1] if i else h
            past = torch.cat(known[i], 1)[:, -memory:] if known[i] and memory else h[:, :0]
            q, *own = layer.read(h)
            parts = zip(layer.recall(past), own, strict=True)
            k, v = (torch.cat(part, 2) for part in parts)
            size, places = h.shape[1], h.shape[1] + past.shape[1]
            by_place = layer.distances(q, twin.waves[:places].flip(0))
            hidden = torch.ones(size, places).triu(past.shape[1] + 1) > 0
            known[i].append(h.detach())
            h = layer.finish(h, layer.attend(q, k, v, Shifted.apply(by_place, hidden)))
        made.append(h)
    wanted = torch.cat(made, 1)
    torch.testing.assert_close(found, wanted)
    for one in (found, wanted):
        one.square().mean().backward()
    for p, q in zip(net.blocks.parameters(), twin.blocks.parameters(), strict=True):
        assert (p.grad - q.grad).norm() <= 1e-4 * q.grad.norm()


@pytest.mark.parametrize("space", [Tokens((12,), 7), Tokens((3, 4), 7)])
@pytest.mark.parametrize("memory", [0, 4])
def test_logits_one_by_one_equal_those_of_the_whole_sequence(space, memory):
    """In rows that begin with 0 to 11 tokens."""
    net, cond = awake(space, memory=memory), told(5)
    tokens, cache = started(5), net.cache(5)
    full = net(tokens, cond)
    for known in (0, 1, 6, 11):
        net.begin(cache, [Fresh(0, tokens[:, :known], cond)])
        for i in range(known, 12):
            assert cache.lengths.tolist() == [i] * 5
            found = net.follow(cache, tokens[:, i])
            torch.testing.assert_close(found, full[:, i], atol=1e-5, rtol=1e-4)


def test_documents_of_a_row_are_what_they_are_alone():
    net = awake(Tokens((12,), 7, end=6), conditions={})
    row = started(1)
    row[0, 5] = 7
    together = net(row, {})[0]
    torch.testing.assert_close(together[:5], net(row[:, :5], {})[0])
    torch.testing.assert_close(together[5:], net(row[:, 5:], {})[0])


def test_documents_of_a_batch_that_is_drawn_in_parts_lose_the_same_numbers():
    """Micro-batches are the whole batch, dropout and all, and each place has its own draws."""
    net = awake(Tokens((12,), 8, end=7), {}, dropout=0.5).train()
    tokens = torch.randint(0, 7, (4, 12))
    tokens[:, 0] = tokens[2:, 5] = tokens[3:, 9] = net.start

    def drawn(start: int, stop: int) -> torch.Tensor:
        torch.manual_seed(1)
        with rows(start, 4):
            return net(tokens[start:stop], {})

    whole, lost = drawn(0, 4), []
    for halves in ((0, 2, 4), (0, 3, 4)):
        made = torch.cat([drawn(a, b) for a, b in itertools.pairwise(halves)])
        torch.testing.assert_close(whole, made)
    layer = net._layers()[0].dropout
    layer.register_forward_hook(lambda _, args, made: lost.append(made[0] == 0))
    drawn(0, 1)
    assert len(lost) == 2 and not torch.equal(lost[0][:, :3], lost[0][:, 3:6])  # two branches


@pytest.mark.parametrize("space", [Tokens((4,), 5), Real((1, 3, 4))])
def test_a_condition_that_it_would_not_read_is_refused(space):
    with pytest.raises(BadInput, match="not seen: take"):
        TransformerXl(Tokens((12,), 7), {**KNOWN, "seen": space})


@pytest.mark.parametrize("width", [16, 20])
def test_rows_at_different_places_do_not_see_each_other(width):
    space = Tokens((30,), 7)
    model = Autoregressive(space, KNOWN, net=partial(TransformerXl, width=width)).eval()
    model.net = awake(space, width=width)
    cond = {"label": torch.tensor([1]), "pose": torch.ones(1, 5)}
    others = {"label": lambda _: torch.tensor([0])}
    check_company(model, [2, 0, 6], cond, others, after=22)


def test_a_sample_depends_on_its_seed_alone():
    model = Autoregressive(Tokens((12,), 7), KNOWN, net=TransformerXl).eval()
    model.net = awake()
    check_batches(model)


@pytest.mark.parametrize(("memory", "knows"), [(4, True), (0, False)])
def test_training_finds_what_an_earlier_segment_says(memory, knows):
    """The first token comes again, two segments later; nothing else can be known."""
    torch.manual_seed(0)
    small = {"width": 32, "layers": 2, "segment": 2, "memory": memory}
    model = transformer_xl(Tokens((6,), 8), {}, **small)
    (optimizer,) = build(model, lr=1e-2)

    def draw() -> torch.Tensor:
        first = torch.randint(0, 4, (64, 1))
        return torch.cat([first, torch.arange(4, 8).expand(64, 4), first], 1)

    for _ in range(160):
        model.loss(draw(), {})["nats"].backward()
        optimizer.step()
        optimizer.zero_grad()
    nats = -model.eval().log_prob(draw(), {}).mean().item()
    least = math.log(4) if knows else 2 * math.log(4)
    assert least - 0.05 < nats < least + 0.4


def test_the_preset_makes_its_net():
    model = transformer_xl(Tokens((9,), 4), {}, width=8, layers=3, segment=2, memory=5, drop=0.3)
    net = model.net
    assert isinstance(net, TransformerXl) and len(net.blocks) == 3 and model.drop == 0.3
    assert (net.segment, net.memory, net.embed.embedding_dim) == (2, 5, 8)
