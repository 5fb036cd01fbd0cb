"""The contract: spaces, draws, conditions, options."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
import torch

from genloom.core import (
    Interval,
    Items,
    Real,
    Rng,
    Tokens,
    Walk,
    check_options,
    hide,
    like,
    normal,
    normal_like,
    options,
    rows,
    stratified,
    uniform,
)
from genloom.errors import BadInput
from tests.tiny import PLANE, TinyFlow, TinyText


def test_a_stream_does_not_see_its_neighbours():
    alone, together = Rng([7]), Rng([3, 7, 9])
    assert torch.equal(alone.normal(4)[0], together.normal(4)[1])
    assert torch.equal(alone.uniform(2)[0], together.uniform(2)[1])


def test_a_walk_begins_and_ends_with_the_seeds_and_stays_standard_between():
    n = 4000
    walk = Walk([3] * 2 + list(range(n)), [9] * 2 + list(range(n, 2 * n)), [0, 1] + [0.3] * n)
    ends = Rng([3, 9])
    assert torch.equal(walk.normal(5)[:2], ends.normal(5))
    assert torch.equal(walk.uniform(5)[:2], ends.uniform(5))
    drawn, u = walk.normal(4)[2:], walk.uniform(4)[2:]
    assert drawn.dtype == torch.float32
    assert drawn.mean().abs() < 0.03 and abs(drawn.std().item() - 1) < 0.02
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean().item() - 0.5) < 0.01 and abs(u.var().item() - 1 / 12) < 0.003


def test_near_places_of_a_walk_give_near_numbers():
    walk = Walk([1] * 3, [2] * 3, [0.5, 0.501, 0.9])
    for x in (walk.normal(100), walk.uniform(100)):
        assert (x[0] - x[1]).abs().max() < 0.01 < (x[0] - x[2]).abs().mean()


def test_categorical_draws_follow_the_logits():
    logits = torch.tensor([0.5, 0.2, 0.3]).log().expand(20_000, 3)
    counts = torch.bincount(Rng(range(20_000)).categorical(logits), minlength=3) / 20_000
    assert torch.allclose(counts, torch.tensor([0.5, 0.2, 0.3]), atol=0.012)


def test_categorical_never_draws_what_is_forbidden():
    logits = torch.tensor([float("-inf"), 0.0, float("-inf")]).expand(500, 3)
    assert set(Rng(range(500)).categorical(logits).tolist()) == {1}


@pytest.mark.parametrize(
    "draw",
    [
        lambda n: normal(n, 3, device=torch.device("cpu")),
        lambda n: uniform(n, device=torch.device("cpu")),
        lambda n: stratified(n, device=torch.device("cpu")),
        lambda n: normal_like(torch.empty(n, 2, 2)),
    ],
)
def test_a_part_of_a_batch_sees_its_rows_of_the_draws(draw):
    torch.manual_seed(1)
    whole = draw(6)
    torch.manual_seed(1)
    with rows(2, 6):
        part = draw(3)
    assert torch.equal(part, whole[2:5])


def test_stratified_has_one_draw_in_each_part():
    parts = (stratified(50, device=torch.device("cpu")) * 50).long()
    assert sorted(parts.tolist()) == list(range(50))


def test_hide_marks_integers_and_reals():
    cond = {"label": torch.tensor([1, 2]), "mel": torch.ones(2, 3)}
    hidden = hide(cond, torch.tensor([True, False]))
    assert hidden["label"].tolist() == [-1, 2]
    assert hidden["mel"].isnan().tolist() == [[True] * 3, [False] * 3]


def test_like_gives_axes():
    assert like(torch.ones(2), torch.ones(2, 3, 4)).shape == (2, 1, 1)


def test_a_model_refuses_a_space_it_cannot_model():
    with pytest.raises(BadInput, match="TinyText models Tokens, not Real"):
        TinyText(PLANE)
    with pytest.raises(BadInput, match="TinyFlow models Real"):
        TinyFlow(Tokens((4,), 3))


def test_labels_are_scalar_tokens():
    assert Items("image", (1, 8, 8), ("a", "b")).conditions == {"label": Tokens((), 2)}
    assert Items("image", (1, 8, 8)).conditions == {}
    assert Real((1, 8, 8)).levels is None


def sampler(
    self,
    rng,
    *,
    steps: Annotated[int, Interval(ge=1, le=1000)] = 32,
    guidance: float = 1.0,
    solver: Literal["euler", "heun"] = "heun",
    top_k: Annotated[int | None, Interval(ge=1)] = None,
):
    """Only its signature matters."""


def test_options_come_from_the_signature():
    found = options(sampler)
    assert list(found) == ["steps", "guidance", "solver", "top_k"]
    assert found["steps"].type is int and found["steps"].bounds == Interval(1, 1000)
    assert found["solver"].choices == ("euler", "heun")
    assert found["top_k"].optional and found["top_k"].type is int


def test_values_are_checked():
    given = {"steps": 5, "guidance": 2, "top_k": None}
    assert check_options(sampler, given) == {"steps": 5, "guidance": 2.0, "top_k": None}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"stesp": 3}, "no option 'stesp'; did you mean 'steps'"),
        ({"steps": 0}, r"steps = 0 is out of range: it must be in \[1, 1000\]"),
        ({"steps": 2.5}, "steps = 2.5 is not int"),
        ({"steps": True}, "steps = True is not int"),
        ({"solver": "huen"}, "did you mean 'heun'"),
        ({"top_k": 0}, "at least 1"),
        ({"guidance": "x"}, "not float"),
        ({"guidance": 10**400}, "guidance is out of range"),
    ],
)
def test_a_wrong_option_is_one_clear_line(given, says):
    with pytest.raises(BadInput, match=says):
        check_options(sampler, given)


def test_not_a_number_is_out_of_every_range():
    assert not Interval(ge=0).hold(float("nan")) and not Interval(le=1).hold(float("nan"))
