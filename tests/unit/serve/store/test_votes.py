"""Votes: counted for the right model whichever side it stood on, once for each pair, by owner."""

from __future__ import annotations

import pytest

from genloom.errors import BadInput
from genloom.serve.store import Blobs, Held, NotFound, Origin, Records, Tally, Votes

from .traversals import PAYLOADS


@pytest.fixture
def votes(store):
    return Votes(store)


@pytest.fixture
def output(store):
    """Make an output of a model."""
    records = Records(store, Blobs("memory://votes"))

    def add(model: str, owner: str = "ann", **more) -> str:
        origin = Origin(model, "d", "r", 1, None, {}, {})
        kept = records.add(owner, b"x", origin, kind="image", media_type="image/png", **more)
        return kept.id

    return add


def test_votes_count_for_the_model_on_either_side(votes, output):
    for left, right, choice in (
        ("a", "b", "left"),
        ("a", "b", "left"),
        ("b", "a", "right"),
        ("b", "a", "left"),
        ("a", "b", "tie"),
        ("a", "c", "left"),
    ):
        votes.add("ann", output(left), output(right), choice)
    assert votes.count("ann", "a", "b") == Tally(a_wins=3, b_wins=1, ties=1)
    assert votes.count("ann", "b", "a") == Tally(a_wins=1, b_wins=3, ties=1)
    assert votes.count("ann", "a", "b").votes == 5
    assert votes.count("ann", "b", "c") == Tally(0, 0, 0)


def test_a_second_vote_on_the_same_two_takes_the_place_of_the_first(votes, output):
    one, other = output("a"), output("b")
    first = votes.add("ann", one, other, "left")
    second = votes.add("ann", other, one, "left")
    assert first != second
    assert votes.count("ann", "a", "b") == Tally(a_wins=0, b_wins=1, ties=0)


def test_others_outputs_cannot_be_voted_on_and_their_votes_are_not_counted(votes, output):
    mine, yours = output("a"), output("b", owner="bob")
    for left, right in ((mine, yours), (yours, mine)):
        with pytest.raises(NotFound):
            votes.add("ann", left, right, "left")
    votes.add("bob", yours, output("a", owner="bob"), "left")
    assert votes.count("ann", "a", "b").votes == 0
    assert votes.count("bob", "a", "b") == Tally(a_wins=0, b_wins=1, ties=0)


def test_what_nobody_has_seen_is_not_compared(votes, output):
    with pytest.raises(Held):
        votes.add("ann", output("a"), output("b", held_for="a likeness"), "right")
    assert votes.count("ann", "a", "b").votes == 0


def test_senseless_votes_are_refused(votes, output):
    one = output("a")
    with pytest.raises(BadInput, match="same model"):
        votes.add("ann", one, output("a"), "left")
    with pytest.raises(BadInput, match="same model"):
        votes.add("ann", one, one, "left")
    with pytest.raises(BadInput, match="choice = 'both'"):
        votes.add("ann", one, output("b"), "both")
    for payload in PAYLOADS:
        with pytest.raises(NotFound):
            votes.add("ann", one, payload, "left")
    assert votes.count("ann", "a", "b").votes == 0
