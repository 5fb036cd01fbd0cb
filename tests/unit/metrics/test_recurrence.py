"""Copies of short documents: new draws of the source recur too, and that is no copying."""

from __future__ import annotations

import pytest
import torch

from genloom.errors import Refused
from genloom.metrics.copies import Recurrence, copy_test, good_turing, planted
from genloom.metrics.text import longest_match, recurrence, verbatim

END, LENGTH, LETTERS = 6, 8, 6
WORDS = 3000


@pytest.fixture(scope="module")
def universe():
    """Different words of 3 to 7 letters, (WORDS, LENGTH), and their unequal chances, (WORDS,)."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(LETTERS, (2 * WORDS, LENGTH), generator=generator)
    sizes = torch.randint(3, 8, (2 * WORDS, 1), generator=generator)
    rows = torch.unique(torch.where(torch.arange(LENGTH) < sizes, rows, END), dim=0)
    rows = rows[torch.randperm(len(rows), generator=generator)[:WORDS]]
    return rows, 1 / (torch.arange(WORDS) + 50.0)


def draws(universe, n, seed):
    generator = torch.Generator().manual_seed(seed)
    return universe[1].multinomial(n, replacement=True, generator=generator)


def parts(universe, n, seed):
    """Training and held-out rows of n draws; equal words share a part, every tenth is held out."""
    drawn = draws(universe, n, seed)
    kept = drawn % 10 > 0
    return universe[0][drawn[kept]], universe[0][drawn[~kept]]


@pytest.mark.parametrize("seed", range(4))
def test_good_turing_knows_how_often_a_new_draw_was_seen(universe, seed):
    drawn = draws(universe, 2000, seed)
    found = good_turing(drawn.unique(return_counts=True)[1])
    true = float(universe[1][drawn.unique()].sum() / universe[1].sum())
    assert 0.5 < true < 0.9
    assert abs(found.rate - true) < 3 * found.error < 0.05


def test_the_error_is_that_of_repeated_draws(universe):
    """The estimate less the truth, over 60 training parts, spreads as its error says."""
    gaps, errors = [], []
    for seed in range(60):
        drawn = draws(universe, 1000, 100 + seed)
        found = good_turing(drawn.unique(return_counts=True)[1])
        true = universe[1][drawn.unique()].sum() / universe[1].sum()
        gaps.append(found.rate - float(true))
        errors.append(found.error)
    spread, told = torch.tensor(gaps).std(), torch.tensor(errors).mean()
    assert 0.75 < float(spread / told) < 1.25


def test_documents_that_all_occur_once_never_recur():
    assert recurrence(torch.arange(400).view(100, 4)) == Recurrence(0.0, 0.0)
    twice = torch.arange(400).view(100, 4).repeat(2, 1)
    assert recurrence(twice).rate == 1


@pytest.mark.parametrize("seed", range(6))
def test_a_perfect_sampler_passes_and_one_that_copies_more_does_not(universe, seed):
    train, held_out = parts(universe, 6000, 10 + seed)
    near = [verbatim(rows, train, END) for rows in (held_out[:200], held_out[200:400])]
    chance = recurrence(train)
    honest = verbatim(universe[0][draws(universe, 400, 50 + seed)], train, END)
    fair, unfair = copy_test("runs", honest, *near, chance), copy_test("runs", honest, *near)
    assert not fair.copied and unfair.copied and fair.share > 0.5
    assert fair.expected == pytest.approx(fair.share, abs=0.15)
    assert fair.estimate().floor == fair.expected
    copier = verbatim(train[:400], train, END)
    assert copy_test("runs", copier, *near, chance).copied


def test_planted_copies_are_found_beyond_what_recurs(universe):
    """Even where samples recur less than new draws do, the test has the power that it claims."""
    train, held_out = parts(universe, 6000, 10)
    near = [verbatim(rows, train, END) for rows in (held_out[:200], held_out[200:400])]
    chance, new = recurrence(train), verbatim(held_out[-500:], train, END)
    rate = chance.rate
    rigged = planted(new, 0.5, recurring=rate)
    assert float((rigged.score == 0).double().mean()) >= 0.5 + 0.5 * rate - 1e-3 > 0.9
    assert copy_test("runs", rigged, *near, chance).copied
    assert not copy_test("runs", planted(new, 0.5), *near, chance).copied


def test_one_that_copies_unique_documents_fails(universe):
    train, rest = universe[0][:2000], universe[0][2000:]
    near = [verbatim(rest[i : i + 200], train, END) for i in (0, 200)]
    chance = recurrence(train)
    assert chance.rate == 0
    assert copy_test("runs", verbatim(train[:200], train, END), *near, chance).copied
    assert not copy_test("runs", verbatim(rest[400:600], train, END), *near, chance).copied


def test_near_copies_of_unique_documents_are_copies_too():
    """All but the last of 32 letters: no document recurs, and yet the samples are copies."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.randint(LETTERS, (1400, 32), generator=generator)
    train = rows[:1000]
    near = [verbatim(rows[1000 + i : 1200 + i], train, END) for i in (0, 200)]
    samples = train[:200].clone()
    samples[:, -1] = END
    found = copy_test("runs", verbatim(samples, train, END), *near, recurrence(train))
    assert found.copied and found.as_dict()["recurrence"] == {"rate": 0.0, "error": 0.0}


def test_the_longest_match_is_that_of_known_rows(universe):
    train = universe[0][:2000]
    samples = train[:100]
    found = longest_match(samples, verbatim(samples, train, END), END)
    assert found.value == pytest.approx(float(((samples != END).sum(1) + 1).double().mean()))
    real = universe[0][2000:2100]
    floor = longest_match(real, verbatim(real, train, END), END)
    assert floor.high < found.low and found.beside(floor, None).floor == floor.value
    with pytest.raises(Refused, match="at least 30"):
        longest_match(samples[:29], verbatim(samples[:29], train, END), END)
