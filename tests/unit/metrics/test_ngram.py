"""The n-gram and the compressors beside which text is measured."""

from __future__ import annotations

import gzip
import math

import pytest
import torch

from genloom.core import Items
from genloom.lexicon import END, Bytes, Letters
from genloom.metrics.baselines import _joined, baselines, text_bytes
from genloom.metrics.ngram import Ngram

VOCAB, STOP = 4, 3


def documents(n, length, seed):
    """Rows of an unequal chain over three letters with an end, filled up with ends."""
    generator = torch.Generator().manual_seed(seed)
    chain = torch.tensor([[0.6, 0.2, 0.1, 0.1], [0.1, 0.1, 0.6, 0.2], [0.5, 0.3, 0.1, 0.1]])
    rows = torch.full((n, length), STOP)
    for row in rows:
        state = 0
        for i in range(length):
            state = int(chain[state].multinomial(1, generator=generator))
            row[i] = state
            if state == STOP:
                break
    return rows


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_of_all_documents_sum_to_one(order):
    """Every row of at most four letters and an end, or of five letters with none."""
    model = Ngram(documents(40, 5, 0), VOCAB, STOP, order=order)
    every = torch.cartesian_prod(*[torch.arange(VOCAB)] * 5)
    after = (every == STOP).cumsum(1)
    every = every[((after == 0) | (every == STOP)).all(1)]
    assert len(every) == sum(3**k for k in range(6))
    assert float(model.log_prob(every).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_probabilities_of_a_running_text_sum_to_one():
    model = Ngram(torch.tensor([[0, 1, 2, 2], [1, 0, 0, 1]]), VOCAB, None, order=3)
    every = torch.cartesian_prod(*[torch.arange(VOCAB)] * 4)
    assert float(model.log_prob(every).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_it_is_the_one_that_is_counted_by_hand():
    """Pairs of "aab" and "aaa": ^a 2, aa 3, ab 1; so a is seen after two ids, and b after one."""
    model = Ngram(torch.tensor([[0, 0, 1], [0, 0, 0]]), 2, None, order=2)
    d = 1 / (1 + 2 * 1)  # of both lengths: one count is 1 and one is 2
    single_a = (2 - d + d * 2 / 2) / 3
    a_after_a = (3 - d + d * 2 * single_a) / 4
    a_first = (2 - d + d * 1 * single_a) / 2
    found = model.log_prob(torch.tensor([[0, 0]])).exp()
    assert float(found) == pytest.approx(a_first * a_after_a)


def test_what_a_row_begins_with_keeps_its_count():
    """First ids 0, 0, 0 and 1: nothing precedes them that could be counted instead."""
    model = Ngram(torch.tensor([[0], [0], [0], [1]]), 2, None, order=3)
    after_one = (3 - 1 + 2 * 0.5) / 4  # D = 1: no count is 2
    after_two = (3 - 1 + 2 * after_one) / 4
    assert float(model.log_prob(torch.tensor([[0]])).exp()) == pytest.approx(after_two)


def test_it_comes_near_to_the_entropy_of_what_it_can_know():
    """A chain that looks one id back: two ids of context lose little, and none gain nothing."""
    train, test = documents(3000, 24, 1), documents(500, 24, 2)
    chain = torch.tensor([[0.6, 0.2, 0.1, 0.1], [0.1, 0.1, 0.6, 0.2], [0.5, 0.3, 0.1, 0.1]])
    true = 0.0
    for row in test.tolist():
        for before, id in zip([0, *row], row):
            true -= math.log(chain[before][id])
            if id == STOP:
                break
    costs = [-float(Ngram(train, VOCAB, STOP, order=k).log_prob(test).sum()) for k in (1, 2, 5)]
    assert true * 0.99 < costs[1] < true * 1.01 and costs[2] < true * 1.03
    assert costs[0] > true * 1.1


@pytest.mark.parametrize("order", [1, 2, 4])
def test_what_follows_adds_to_the_probability_of_a_row(order):
    model = Ngram(documents(40, 8, 0), VOCAB, STOP, order=order)
    rows = documents(30, 6, 1)
    rows[:, :5] = rows[:, :5].clamp(max=STOP - 1)  # five letters and what follows them
    for length in (0, 1, 5):
        p = model.following(rows[:, :length])
        assert torch.allclose(p.sum(1), torch.ones(30).double())
        begun = model.log_prob(rows[:, :length]) if length else torch.zeros(30).double()
        whole = begun + p.log().gather(1, rows[:, length, None])[:, 0]
        assert torch.allclose(whole, model.log_prob(rows[:, : length + 1]))


def test_draws_are_as_likely_as_documents():
    train = documents(3000, 12, 0)
    model = Ngram(train, VOCAB, STOP, order=2)
    made = model.draw(3000, 12, torch.Generator().manual_seed(0))
    assert made.shape == (3000, 12)
    ended = (made == STOP).cumsum(1) > 0
    assert (made[ended] == STOP).all() and ended[:, -1].float().mean() > 0.5
    counts = [
        torch.bincount(rows.flatten(), minlength=VOCAB) / rows.numel() for rows in (made, train)
    ]
    assert torch.allclose(*counts, atol=0.02)
    again = model.draw(3000, 12, torch.Generator().manual_seed(0))
    assert torch.equal(made, again)


def test_what_was_never_seen_has_a_probability_too():
    model = Ngram(torch.zeros(3, 4).long(), VOCAB, STOP)
    nats = model.log_prob(torch.tensor([[2, 1, 3, 3], [0, 0, 0, 0]]))
    assert torch.isfinite(nats).all() and nats[0] < nats[1] < 0


def test_bytes_are_those_of_the_text_alone():
    about = Items("text", (4,), lexicon=Letters("a\u671b", marks=("user", END)))
    rows = torch.tensor([[2, 0, 1, 3], [1, 1, 3, 3]])  # [user]a+end, two of three bytes
    assert text_bytes(rows, about) == 1 + 3 + 6


def test_a_letter_that_a_border_of_rows_divides_is_read_whole():
    for marks in ((), (END,)):
        about = Items("text", (2,), lexicon=Bytes(marks=marks))
        rows = torch.tensor([[97, 0xC3], [0xA9, 97], [98, 256 if marks else 98]])
        assert text_bytes(rows, about) == 5 + (not marks)
        assert _joined(rows, about).decode() == "a\u00e9ab" + ("\n" if marks else "b")


def test_compressors_pay_for_new_text_alone():
    about = Items("text", (32,), lexicon=Letters("abcdefgh"))
    generator = torch.Generator().manual_seed(0)
    train = torch.randint(8, (200, 32), generator=generator)
    fresh = torch.randint(8, (50, 32), generator=generator)
    found, again = (baselines(train, rows, about) for rows in (fresh, train[-50:]))
    assert set(found) == {"gzip -9", "xz -9e", "5-gram"}
    assert all(3 < bits < 4 for bits in found.values())
    assert again["gzip -9"] < 0.2 and again["xz -9e"] < 0.2  # they have seen it
    text = "".join(map(about.read, train)).encode()
    both = text + "".join(map(about.read, fresh)).encode()
    sizes = [len(gzip.compress(data, 9, mtime=0)) for data in (text, both)]
    assert found["gzip -9"] == 8 * (sizes[1] - sizes[0]) / (50 * 32)


def test_documents_end_in_lines():
    about = Items("text", (3,), lexicon=Bytes(marks=(END,)))
    rows = torch.tensor([[97, 98, 256], [99, 256, 256]]).repeat(30, 1)
    assert text_bytes(rows, about) == 90
    found = baselines(rows, rows[:2], about)
    assert all(0 <= bits < 8 for bits in found.values())


def test_of_much_text_the_last_is_seen_and_what_fills_up_costs_no_place(monkeypatch):
    about = Items("text", (4,), lexicon=Letters("abcd", marks=(END,)))
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat((torch.randint(4, (90, 3), generator=generator), torch.full((90, 1), 4)), 1)
    wide = torch.cat((rows, torch.full((90, 9), 4)), 1)
    whole, last = baselines(rows, rows[:9], about), baselines(rows[-20:], rows[:9], about)
    monkeypatch.setattr("genloom.metrics.baselines.SEEN", 90 * 4)
    assert baselines(wide, wide[:9], about) == whole != last
    monkeypatch.setattr("genloom.metrics.baselines.SEEN", 20 * 4 + 3)
    assert baselines(wide, wide[:9], about) == last
