"""The share of pairs whose chosen document is likelier, by models whose likelihoods are known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genloom.codecs import Text
from genloom.core import Items
from genloom.errors import Refused
from genloom.lexicon import Letters
from genloom.metrics.estimate import wilson
from genloom.metrics.preferences import preferences, preferred

CODEC = Text(Items("text", (3,), lexicon=Letters("ab", marks=("end",))))


class Counting(nn.Module):
    """It likes the number of one letter in a document."""

    likelihood = "exact"

    def __init__(self, letter: int):
        super().__init__()
        self.letter, self.weight = letter, nn.Parameter(torch.zeros(()))

    def log_prob(self, x, cond):
        assert x.dtype == torch.long and not self.training and len(cond.get("label", x)) == len(x)
        return (x == self.letter).sum(1).double()


def documents(*rows: str) -> torch.Tensor:
    return torch.tensor([["ab|".index(letter) for letter in row] for row in rows])


CHOSEN = documents(*["aab"] * 20, *["abb"] * 10, *["ab|"] * 10)
REJECTED = documents(*["abb"] * 20, *["aab"] * 10, *["ba|"] * 10).int()


def test_the_share_of_pairs_that_are_told_in_the_right_order():
    model = Counting(0).train()
    found = preferred(model, CODEC, CHOSEN, REJECTED, {"label": torch.zeros(40)}, batch=7)
    assert found.value == 20 / 40  # equal ones are none
    assert (found.low, found.high) == wilson(20, 40)
    assert (found.n, found.better, found.trivial) == (40, "higher", 0.5)
    assert preferred(Counting(1), CODEC, CHOSEN, REJECTED, {}).value == 10 / 40
    assert model.training


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(Refused, match="at least 30 items a side, not 29"):
        preferred(Counting(0), CODEC, CHOSEN[:29], REJECTED[:29], {})
    bounded = Counting(0)
    bounded.likelihood = "bound"
    with pytest.raises(Refused, match="compares exact likelihoods, and Counting has none"):
        preferred(bounded, CODEC, CHOSEN, REJECTED, {})


def test_a_base_that_is_gone_is_left_out(tmp_path):
    trained = SimpleNamespace(path=tmp_path / "model", model=Counting(0), codec=CODEC)
    for recipe in (None, "[model]\n", f'[model]\nbase = "{tmp_path}/gone"\n'):
        if recipe is not None:
            (tmp_path / "recipe.toml").write_text(recipe)
        (only,) = preferences(trained, CHOSEN, REJECTED, {})
        assert only.name == "preferred"
