"""Retrieval: ranks, chance, a judge that learns from pairs and is stored."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from genloom.core import Caption, Items
from genloom.errors import BadInput, Refused
from genloom.metrics import retrieval as measure
from genloom.metrics.retrieval import Dual, Matcher, matcher, retrieval

WORD = Caption("abcde", 5)
ITEMS = Items("image", (1, 12, 12), caption=WORD)


def every():
    """All words of three letters, and their pictures: a band of grey for each letter."""
    words = torch.cartesian_prod(*(torch.arange(5),) * 3)
    bands = (words * 60).byte()[:, None, :, None].repeat_interleave(4, 2).expand(-1, 1, 12, 12)
    return bands.contiguous(), F.pad(words + 1, (0, 2))


class Toy:
    """Pairs in a random order, pictures with a little noise."""

    fingerprint = "toy"

    def __len__(self):
        return 600

    def batch(self, position, size, seed):
        stream = torch.Generator().manual_seed(1000 * seed + position)
        items, ids = every()
        rows = torch.randint(len(items), (size,), generator=stream)
        noise = torch.randint(0, 16, (size, 1, 12, 12), generator=stream)
        return items[rows] + noise.byte(), {"caption": ids[rows]}, rows


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    return matcher(ITEMS, Toy(), cache=tmp_path_factory.mktemp("judges"))


def test_it_tells_pairs_apart_and_strangers_are_chance(judge):
    items, ids = every()
    fit = {e.name: e for e in retrieval(judge, items, ids, items)}
    assert fit["retrieval@1"].value > 0.5 and fit["retrieval@5"].value > 0.8
    assert fit["retrieval@5"].value >= fit["retrieval@1"].value
    assert fit["retrieval@1"].value == fit["retrieval@1"].floor
    assert (fit["retrieval@1"].trivial, fit["retrieval@5"].trivial) == (0.01, 0.05)
    strange = retrieval(judge, items.flip(0), ids, items)
    assert strange[0].value < 0.1 and strange[0].floor == fit["retrieval@1"].value
    assert strange[0].low <= strange[0].value <= strange[0].high and strange[0].n == 125


def test_chance_is_one_in_a_hundred():
    """Of scores that know nothing, over many draws."""
    stream = torch.Generator().manual_seed(0)
    own = torch.arange(2000) % 125
    scores = torch.rand(2000, 125, generator=stream)
    rank = measure._rank(scores, own, measure._others(own, 125, 0))
    for best in (1, 5):
        share = float((rank < best).double().mean())
        assert abs(share - best / 100) < 4 * math.sqrt(best / 100 / 2000)


def test_the_rank_is_that_among_the_chosen_captions():
    own, pool = torch.tensor([3, 0, 124]), 125
    others = measure._others(own, pool, 7)
    assert others.shape == (3, 99) and (others != own[:, None]).all()
    assert all(len(set(row)) == 99 and max(row) < pool for row in others.tolist())
    scores = torch.rand(3, pool, generator=torch.Generator().manual_seed(1))
    wanted = [
        sum(float(scores[i, j]) >= float(scores[i, own[i]]) for j in others[i]) for i in range(3)
    ]
    assert measure._rank(scores, own, others).tolist() == wanted
    assert measure._rank(torch.full((3, pool), float("nan")), own, others).tolist() == [99] * 3


def test_the_loss_is_infonce_without_pairs_that_share_a_caption():
    torch.manual_seed(0)
    net = Dual((1, 12, 12), 6).eval()
    items, ids = every()
    items, ids = items[:6], ids[[0, 1, 2, 3, 0, 5]]
    a, b = net.pictures(items), net.captions(ids)
    torch.testing.assert_close(a.norm(dim=1), torch.ones(6))
    logits = (a @ b.T / 0.07).detach().double()
    total = 0.0
    for i in range(6):
        seen = [j for j in range(6) if j == i or not torch.equal(ids[i], ids[j])]
        total -= float(logits[i, i] - logits[i, seen].logsumexp(0))
        total -= float(logits[i, i] - logits[seen, i].logsumexp(0))
    assert net.loss(items, ids).item() == pytest.approx(total / 12, rel=1e-4)


def test_what_fills_up_and_the_neighbours_change_nothing():
    torch.manual_seed(0)
    net = Dual((1, 12, 12), 6).eval()
    short, long = torch.tensor([[1, 2, 3, 0, 0]]), torch.tensor([[1, 2, 3, 0, 0, 0, 0, 0]])
    torch.testing.assert_close(net.captions(short), net.captions(long))
    both = torch.cat([short, torch.tensor([[5, 5, 5, 5, 5]])])
    torch.testing.assert_close(net.captions(both)[:1], net.captions(short))
    assert net.captions(torch.full((1, 5), -1)).isfinite().all()


def test_a_judge_is_stored_and_the_generator_left_alone(judge, tmp_path, monkeypatch):
    state = torch.get_rng_state()
    monkeypatch.setattr(measure, "FIRM", 0)
    first = matcher(ITEMS, Toy(), cache=tmp_path)
    assert torch.equal(state, torch.get_rng_state())
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    again = matcher(ITEMS, Toy(), cache=tmp_path)
    assert again.hash == first.hash and path.stat().st_mtime_ns == before
    assert first.hash != judge.hash and first.hash in first.id
    other = Items("image", (1, 12, 12), caption=Caption("abcdf", 5))
    assert len([matcher(other, Toy(), cache=tmp_path), *tmp_path.iterdir()]) == 3
    path.write_bytes(b"cut short")
    assert matcher(ITEMS, Toy(), cache=tmp_path).hash == first.hash


def test_too_little_is_refused():
    items, ids = every()
    judge = Matcher("0", Dual((1, 12, 12), 6).eval())
    with pytest.raises(Refused, match="30"):
        retrieval(judge, items[:20], ids[:20], items[:20])
    with pytest.raises(Refused, match="100 different captions"):
        retrieval(judge, items[:99], ids[:99], items[:99])
    hidden = torch.where(torch.arange(125)[:, None] < 110, ids, -1)
    assert retrieval(judge, items, hidden, items)[0].n == 110
    with pytest.raises(BadInput, match=r"data\.captions=true"):
        matcher(Items("image", (1, 12, 12)), Toy())
