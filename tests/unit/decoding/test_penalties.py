"""Penalties: what a row has said counts, each in its own way, and other rows do not notice."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from genloom import sampling
from genloom.core import Rng, Tokens
from genloom.decoding.penalties import NONE, Penalties
from genloom.errors import BadInput
from tests.unit.models.test_autoregressive import made
from tests.unit.serve.engine.made import held

# The start token is 4; the first row was given 1 and drew 0, 0, the second drew 3.
TOKENS = torch.tensor([[4, 1, 0, 0, 2], [4, 3, 2, 2, 2]])
GIVEN, HELD = torch.tensor([[2], [1]]), torch.tensor([[4], [2]])
LOGITS = torch.tensor([[2.0, -1.0, 0.5, -3.0], [1.0, 1.0, 1.0, -2.0]])


def penalised(**options) -> list[list[float]]:
    return Penalties(**options)(LOGITS, TOKENS, GIVEN, HELD).tolist()


def test_repeats_are_divided_or_multiplied_whether_given_or_drawn():
    assert penalised(repetition_penalty=2.0) == [[1.0, -2.0, 0.5, -3.0], [1.0, 1.0, 1.0, -4.0]]


def test_frequency_counts_what_was_drawn_and_presence_whether_it_was():
    assert penalised(frequency_penalty=0.5) == [[1.0, -1.0, 0.5, -3.0], [1.0, 1.0, 1.0, -2.5]]
    assert penalised(presence_penalty=0.5) == [[1.5, -1.0, 0.5, -3.0], [1.0, 1.0, 1.0, -2.5]]


def test_a_bias_is_added_and_nothing_is_nothing():
    assert penalised(logit_bias=((2, 1.5), (0, -100.0)))[0] == [-98.0, -1.0, 2.0, -3.0]
    assert penalised() == LOGITS.tolist()
    assert Penalties(frequency_penalty=0.0) == NONE


def test_repetition_is_what_transformers_makes_of_it():
    process = pytest.importorskip("transformers").RepetitionPenaltyLogitsProcessor(1.3)
    logits, tokens = torch.randn(3, 9), torch.randint(0, 9, (3, 7))
    held = torch.full((3, 1), 7)
    ours = Penalties(repetition_penalty=1.3)(logits, tokens, held, held)
    torch.testing.assert_close(ours, process(tokens, logits.clone()))


@pytest.mark.parametrize("name", ["frequency_penalty", "presence_penalty"])
def test_a_high_penalty_lets_no_token_be_drawn_twice(name):
    model = made(Tokens((12,), 16), {})
    *_, x = model.complete(Rng([1, 2]), {}, torch.tensor([[3], [5]]), **{name: 40.0})
    assert [len(set(row[1:].tolist())) for row in x] == [11, 11]


def test_an_option_out_of_range_is_refused():
    with pytest.raises(BadInput, match="repetition_penalty = 0"):
        sampling.sample(made(), 1, repetition_penalty=0)


def test_a_row_draws_the_same_whoever_else_is_penalised():
    model = made(Tokens((9,), 4), {})
    how = ({}, {"frequency_penalty": 2.0}, {"presence_penalty": 2.0, "top_k": 3}, {})

    def drawn(which) -> list[list[int]]:
        rows = model.decoding(4, fill=4)
        for i in which:
            rows.join(Rng([i]), {}, torch.zeros(1, 0, dtype=torch.long), **how[i])
        for _ in range(9):
            rows.step()
        return rows.data(0, len(which)).tolist()

    together = drawn(range(4))
    assert [drawn([i])[0] for i in range(4)] == together
    assert together[0] != drawn([1])[0]


def test_records_tell_no_penalty_that_changes_nothing():
    artifact = held("autoregressive")
    given: dict[str, Any] = {"presence_penalty": 0.5, "repetition_penalty": 1.0}
    plain = json.loads(artifact.records(1)[0]["options"])
    told = json.loads(artifact.records(1, **given)[0]["options"])
    assert plain == {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    assert told == plain | {"presence_penalty": 0.5}
