"""Text measures: variety, repetition, and the longest verbatim run."""

from __future__ import annotations

import pytest
import torch

from genloom.metrics.copies import copy_test, planted
from genloom.metrics.text import distinct, features, grams, repetition, verbatim


def rows(n, length, seed, letters=20):
    return torch.randint(
        letters, (n, length), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def test_equal_runs_have_equal_hashes_and_others_have_not():
    x = torch.tensor([[1, 2, 3, 1, 2, 3, 2, 1]])
    hashed = grams(x, 3)[0]
    assert hashed[0] == hashed[3]
    assert len(hashed.unique()) == 5
    assert grams(torch.tensor([[0, 1], [1, 0]]), 2).unique().numel() == 2


def test_features_are_frequencies():
    x = rows(10, 64, 0)
    found = features(x)
    assert found.shape == (10, 128) and found.square().sum(1) == pytest.approx(3)
    assert torch.equal(found, features(x.long()))
    assert (features(rows(500, 64, 1)).mean(0) - features(rows(500, 64, 2)).mean(0)).norm() < 0.1
    assert (features(rows(500, 64, 1)).mean(0) - features(rows(500, 64, 2, 5)).mean(0)).norm() > 0.5


def test_variety_and_repetition_of_known_rows():
    assert distinct(rows(40, 64, 0)).value > 0.95
    assert distinct(torch.zeros(40, 64).long()).value == pytest.approx(1 / (40 * 61))
    assert repetition(torch.arange(64).repeat(40, 1)).value == 0
    assert repetition(torch.arange(8).repeat(40, 8)).value == pytest.approx(49 / 57)


def test_the_longest_run_is_found_across_rows_and_told_with_its_row():
    train = rows(50, 32, 0)
    items = rows(3, 32, 1)
    items[0, 5:21] = train[7, 10:26]  # 16 characters
    items[1] = train[9]
    items[2, :24] = train.flatten()[11 * 32 + 20 : 11 * 32 + 44]  # over the end of row 11
    found = verbatim(items, train)
    assert found.distance.tolist() == [32 - 16, 0, 32 - 24]
    assert found.nearest.tolist() == [7, 9, 11]


@pytest.mark.parametrize("seed", range(3))
def test_planted_items_are_found_in_text(seed):
    train = rows(2000, 32, 10 + seed, 6)
    honest, reference, other = (
        verbatim(rows(200, 32, 20 + 3 * seed + i, 6), train) for i in range(3)
    )
    assert not copy_test("runs", honest, reference, other).copied
    assert copy_test("runs", planted(honest), reference, other).copied


def test_what_fills_documents_up_counts_for_nothing():
    words = torch.tensor([[1, 2, 3, 9], [4, 5, 6, 9], [7, 8, 1, 9]]).repeat(12, 1)
    wide = torch.cat([words, torch.full((36, 20), 9)], 1)
    assert torch.equal(features(wide, 9), features(words, 9))
    assert distinct(wide, end=9).value == distinct(words, end=9).value == 3 / 36
    assert repetition(wide, 3, end=9).value == 0 < repetition(wide, 3).value
    train = torch.full((5, 24), 9)
    train[2, :4] = torch.tensor([4, 5, 6, 9])
    found = verbatim(wide[:3], train, 9)
    assert found.distance.tolist() == [3, 0, 3] or found.distance.tolist() == [4, 0, 4]
    assert found.nearest[1] == 2 and verbatim(wide[:3], train).distance.tolist() != [4, 0, 4]
