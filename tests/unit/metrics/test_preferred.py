"""The share of pairs whose chosen document is likelier, by models whose likelihoods are known."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genloom import artifact
from genloom.codecs import Text
from genloom.core import Items, Tokens
from genloom.errors import Refused
from genloom.lexicon import Letters
from genloom.metrics.estimate import wilson
from genloom.metrics.preferences import preferences, preferred
from genloom.models.autoregressive import Autoregressive
from genloom.nets.transformer import Transformer

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


@pytest.fixture
def tuned(tmp_path):
    """A model that began with the base that its run names."""
    (tmp_path / "recipe.toml").write_text('[model]\nbase = "it"\n')
    return SimpleNamespace(path=tmp_path / "model", model=sequences(), codec=CODEC)


def sequences(vocab: int = 3) -> Autoregressive:
    torch.manual_seed(vocab)
    net = partial(Transformer, width=8, layers=1, heads=1)
    return Autoregressive(Tokens((3,), vocab, end=2), {}, net=net)


def test_a_base_that_is_gone_is_left_out(tuned):
    recipe = tuned.path.parent / "recipe.toml"
    for text in (None, "[model]\n", f'[model]\nbase = "{tuned.path}/gone"\n'):
        recipe.unlink(missing_ok=True)
        if text is not None:
            recipe.write_text(text)
        (only,) = preferences(tuned, CHOSEN, REJECTED, {})
        assert only.name == "preferred"


def test_a_base_that_reads_the_same_is_measured_beside_the_model(tuned, monkeypatch):
    base = sequences()
    for p in base.parameters():
        nn.init.normal_(p)
    monkeypatch.setattr(artifact, "load", lambda source, device: SimpleNamespace(model=base))
    ours, theirs = preferences(tuned, CHOSEN, REJECTED, {})
    assert (ours.name, theirs.name) == ("preferred", "preferred_by_base")
    assert ours == preferred(tuned.model, CODEC, CHOSEN, REJECTED, {})
    named = "preferred_by_base"
    assert theirs == preferred(base, CODEC, CHOSEN, REJECTED, {}, name=named)


@pytest.mark.parametrize("base", ["of another vocabulary", "without exact likelihoods"])
def test_a_base_that_cannot_be_compared_is_left_out(tuned, monkeypatch, base):
    bounded = Counting(0)
    bounded.likelihood = "bound"
    other = sequences(2) if base == "of another vocabulary" else bounded
    monkeypatch.setattr(artifact, "load", lambda source, device: SimpleNamespace(model=other))
    (only,) = preferences(tuned, CHOSEN, REJECTED, {})
    assert only == preferred(tuned.model, CODEC, CHOSEN, REJECTED, {})
