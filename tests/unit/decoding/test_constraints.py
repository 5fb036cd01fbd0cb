"""Automata over tokens: every text has the form, as long as it may be, and no token too few."""

from __future__ import annotations

import itertools

import pytest
import torch

from genloom.core import Rng, Tokens
from genloom.decoding.constraints import Automaton, Strict
from genloom.errors import BadInput
from tests.unit.models.test_autoregressive import made

# Balanced brackets, 0 and 1, at most two deep, and then a 2.
BRACKETS = torch.tensor([[1, -1, 3], [2, 0, -1], [-1, 1, -1], [-1, -1, -1]])


def brackets() -> Automaton:
    return Automaton(BRACKETS, torch.tensor([False, False, False, True]))


def said(tokens) -> bool:
    text = "".join("()."[t] for t in tokens)
    while "()" in text:
        text = text.replace("()", "")
    return text == "."


def test_what_is_allowed_is_what_can_still_end():
    form = brackets()
    for state, left in itertools.product(range(4), range(1, 6)):
        for token in range(3):
            ways = (
                (token, *rest)
                for n in range(left)
                for rest in itertools.product(range(3), repeat=n)
            )
            assert bool(form.allowed(state, left)[token]) == any(ends(state, way) for way in ways)


def ends(state: int, tokens) -> bool:
    for token in tokens:
        state = int(BRACKETS[state, token]) if state >= 0 else -1
    return state == 3


@pytest.mark.parametrize("end", [None, 3])
@pytest.mark.parametrize("length", [3, 4, 9])
def test_every_sample_has_the_form_at_any_length(length, end):
    model = made(Tokens((length,), 3 + (end is not None), end), {})
    given = torch.zeros(50, 0, dtype=torch.long)
    *_, x = model.complete(Rng(range(50)), {}, given, constraint=brackets())
    texts = [[t for t in row if t != end] for row in x.tolist()]
    if end is None:  # what follows the form is blank, and no token of it
        texts = [row[: row.index(2) + 1] for row in texts]
    assert all(said(text) for text in texts), texts
    assert len({tuple(text) for text in texts}) > 1


def test_the_others_draw_as_if_they_were_alone():
    model = made(Tokens((7,), 3), {})
    given = torch.zeros(1, 0, dtype=torch.long)
    alone = model.decoding(4, fill=4)
    alone.join(Rng([5]), {}, given)
    rows = model.decoding(4, fill=4)
    strict = rows.join(Rng([4]), {}, given, constraint=brackets())
    rows.join(Rng([5]), {}, given)
    for _ in range(7):
        alone.step(), rows.step()
    assert rows.data(1, 1).equal(alone.data(0, 1))
    assert strict[0].over and rows.data(0, 1)[0, -1] == rows.blank


def test_the_form_draws_from_what_the_model_thinks():
    model = made(Tokens((1,), 3), {})
    form = Automaton(torch.tensor([[1, 1, -1], [-1, -1, -1]]), torch.tensor([False, True]))
    n = 3000
    given = torch.zeros(n, 0, dtype=torch.long)
    *_, x = model.complete(Rng(range(n)), {}, given, constraint=form)
    p = model.log_prob(torch.tensor([[0], [1]]), {}).exp()
    assert ((x == 0).double().mean() - p[0] / p.sum()).abs() < 0.03
    assert int(x.max()) == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(BadInput, match="within the 0 tokens"):
        brackets().start(0)
    with pytest.raises(BadInput, match="allow more tokens"):
        Automaton(torch.tensor([[0]]), torch.tensor([False])).start(99)
    strict = Strict(brackets(), 1, 3, -1)
    assert strict.allowed().tolist() == [False, False, True]
    assert strict.take(2, lambda _: None) == 2 and strict.allowed() is None and strict.over


def test_a_text_is_closed_where_it_may_end_and_nothing_may_follow():
    strict = Strict(brackets(), 3, 3, -1)
    found = [strict.closed]
    for token in (0, 1, 2):
        assert strict.allowed()[token] and strict.take(token, lambda _: None) == token
        found.append(strict.closed)
    assert found == [False, False, False, True]
    longer = Strict(Automaton(torch.tensor([[0]]), torch.tensor([True])), 1, 1, -1)
    assert longer.take(0, lambda _: None) == 0
    assert longer.allowed() is None and not longer.closed


def test_what_is_given_is_read_first():
    assert brackets().start(2, [0]) == 1
    with pytest.raises(BadInput, match="within the 1 tokens"):
        brackets().start(1, [0])
    for given in ([1], [0, 3]):
        with pytest.raises(BadInput, match="begins as the prompt does"):
            brackets().start(9, given)
