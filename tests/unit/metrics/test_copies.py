"""Copies: five percent of planted training items are found; honest sets and class means are not."""

from __future__ import annotations

import pytest
import torch

from genloom.data import open_dataset, open_test
from genloom.errors import Refused
from genloom.metrics.copies import closest, copy_test, nearness, planted


@pytest.fixture(scope="module")
def digits():
    """Training, other held-out and held-out images, and the training labels."""
    data = open_dataset("digits", valid=0.15, test=0.3)
    held_out = open_test(data).items
    return data.train, torch.cat((data.valid.items, held_out[400:])), held_out[:400]


def test_the_score_of_a_copy_is_zero_and_of_a_class_mean_near_one(digits):
    train, _, _ = digits
    labels = train.cond["label"]
    means = torch.stack([train.items[labels == c].float().mean(0) for c in range(10)]).round()
    copies = nearness(train.items[:20], train.items)
    assert copies.score.max() == 0 and copies.nearest.tolist() == list(range(20))
    assert nearness(means.to(torch.uint8), train.items).score.min() > 0.6


def test_chunks_do_not_change_the_neighbours(digits):
    train, _, held_out = digits
    one, two = (nearness(held_out[:30], train.items, chunk=c) for c in (97, 5000))
    assert torch.equal(one.nearest, two.nearest) and torch.equal(one.score, two.score)


def test_the_score_is_the_one_of_brute_force(digits):
    train, _, held_out = digits
    distances = torch.cdist(held_out[:5].flatten(1).double(), train.items.flatten(1).double())
    first = distances.sort(1).values[:, :51]
    found = nearness(held_out[:5], train.items)
    assert torch.allclose(found.score, first[:, 0] / first[:, 1:].mean(1))
    assert torch.allclose(found.distance, first[:, 0])


@pytest.mark.parametrize("seed", range(6))
def test_five_percent_of_copies_are_found_and_none_where_there_is_none(digits, seed):
    """Held-out items stand for an honest model, in halves drawn anew for each seed."""
    train, other, held_out = digits
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(held_out), generator=generator)
    honest, reference = held_out[order[:200]], held_out[order[200:]]
    copied = honest.clone()
    copied[:10] = train.items[torch.randperm(len(train), generator=generator)[:10]]
    calibration = nearness(other, train.items)
    known = nearness(reference, train.items)
    clean = copy_test("pixels", nearness(honest, train.items), known, calibration)
    found = copy_test("pixels", nearness(copied, train.items), known, calibration)
    assert not clean.copied and clean.share < 0.03
    assert found.copied and 0.04 <= found.share <= 0.07


def test_class_means_with_noise_are_not_called_copies(digits):
    train, other, held_out = digits
    labels = train.cond["label"]
    means = torch.stack([train.items[labels == c].float().mean(0) for c in range(10)])
    noise = 5 * torch.randn(200, *means.shape[1:])
    blurred = (means.repeat(20, 1, 1, 1) + noise).round().clamp(0, 255).to(torch.uint8)
    sets = (nearness(x, train.items) for x in (blurred, held_out, other))
    found = copy_test("pixels", *sets)
    assert found.share == 0 and not found.copied


def test_planting_sets_scores_to_zero(digits):
    train, other, held_out = digits
    near, calibration = nearness(held_out, train.items), nearness(other, train.items)
    rigged = planted(near)
    assert int((rigged.score == 0).sum()) == 20 and near.score.min() > 0
    assert copy_test("pixels", rigged, near, calibration).copied


def test_closest_pairs_come_first_and_once(digits):
    train, _, held_out = digits
    mixed = torch.cat((held_out[:30], train.items[7:8]))
    near = nearness(mixed, train.items)
    pairs = closest({"pixels": near, "again": near}, count=5)
    assert pairs[0] == {
        "generated": 30, "train": 7, "score": 0.0, "distance": 0.0, "space": "pixels"
    }  # fmt: skip
    assert len({pair["generated"] for pair in pairs}) == 5


def test_too_few_are_refused(digits):
    train, other, held_out = digits
    near, calibration = nearness(held_out, train.items), nearness(other, train.items)
    with pytest.raises(Refused, match="at least 160 items a side, not 159"):
        copy_test("pixels", near.rows(0, 159), near, calibration)
    with pytest.raises(Refused, match="at least 50"):
        copy_test("pixels", near, near, calibration.rows(0, 49))
    with pytest.raises(Refused, match="51 training items"):
        nearness(held_out, train.items[:50])
