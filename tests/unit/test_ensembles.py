"""One artifact of several runs: their very weights; members that differ are refused."""

from __future__ import annotations

import argparse
import json

import pytest
import torch

from genloom import runs, tuning_verb
from genloom.artifact import load
from genloom.ensembles import ensemble
from genloom.errors import BadInput
from genloom.evaluation import _source

TRAIN = {"steps": 2, "batch": 8}
SMALL = {"use": "flow", "net": {"use": "mlp", "width": 8, "blocks": 1}}
VAE = {"use": "vae", "net": {"use": "mlp_coder", "width": 8}, "latent": 2}


def trained(folder, model=SMALL, source="moons", **train):
    recipe = {"data": {"source": source}, "model": model, "train": {**TRAIN, **train}}
    return runs.start(recipe, out=folder, quiet=True)


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    root = tmp_path_factory.mktemp("members")
    return [trained(root / "a"), trained(root / "b", seed=1), trained(root / "c", VAE)]


@pytest.fixture(scope="module")
def joined(members, tmp_path_factory):
    return ensemble(members, tmp_path_factory.mktemp("joined") / "all", shares=[2, 1, 1])


def test_it_holds_the_members_weights_and_shares(members, joined):
    model = load(joined).model
    for k, path in enumerate(members):
        own = load(path).model.state_dict()
        held = model.get_submodule(f"members.{k}").state_dict()
        assert own.keys() == held.keys() and all(torch.equal(own[n], held[n]) for n in own)
    assert model.shares == (0.5, 0.25, 0.25)


def test_save_load_sample_is_bit_identical_and_made_of_members(joined):
    first, second = load(joined), load(joined / "model")
    a, b = (m.sample(12, seed=3, batch=n) for m, n in ((first, 12), (second, 5)))
    assert torch.equal(a, b)
    assert a.shape == (12, *first.items.shape)


def test_a_run_with_its_data_can_be_evaluated(members, joined):
    assert _source(load(joined))["source"] == "moons"
    card = json.loads((joined / "model" / "card.json").read_text())
    one = json.loads((members[0] / "model" / "card.json").read_text())
    assert card["data"] == one["data"]
    assert [m["weights"] for m in card["training"]["members"]] == [load(m).hash for m in members]


def test_an_ensemble_can_be_a_member(joined, members, tmp_path):
    again = ensemble([joined, members[0]], tmp_path / "again")
    assert load(again).sample(3).shape[0] == 3


def test_members_that_differ_are_refused(members, tmp_path):
    other = trained(tmp_path / "digits", VAE, "digits")
    with pytest.raises(BadInput, match="differ in their items"):
        ensemble([members[0], other], tmp_path / "out")
    with pytest.raises(BadInput, match="1 members: an ensemble has 2 to 8"):
        ensemble(members[:1], tmp_path / "out")
    with pytest.raises(BadInput, match="holds a run"):
        ensemble(members, members[0])
    with pytest.raises(BadInput, match="2 shares for 3 members"):
        ensemble(members, tmp_path / "out", shares=[1, 2])
    assert not (tmp_path / "out").exists()


def test_members_of_other_data_lose_the_fingerprint(members, tmp_path):
    other = trained_on_less(tmp_path)
    card = load(ensemble([members[0], other], tmp_path / "out")).card
    assert card["data"] == {"name": "moons"}


def trained_on_less(folder):
    recipe = {"data": {"source": "moons", "valid": 0.2}, "model": SMALL, "train": TRAIN}
    return runs.start(recipe, out=folder / "less", quiet=True)


def test_private_members_spend_the_sum_and_a_mixed_ensemble_tells_no_epsilon(members, tmp_path):
    private = [trained(tmp_path / n, dp_epsilon=e) for n, e in (("p", 3.0), ("q", 5.0))]
    own = [load(run).card["training"]["private"] for run in private]
    told = load(ensemble(private, tmp_path / "both")).card["training"]["private"]
    for name in ("epsilon", "delta"):
        assert told[name] == sum(one[name] for one in own) > max(one[name] for one in own)
    page = (tmp_path / "both" / "model" / "README.md").read_text()
    assert f"| epsilon | {told['epsilon']:.4g} |" in page and "| trainings | 2 |" in page
    mixed = load(ensemble([private[0], members[0]], tmp_path / "mixed"))
    assert "private" not in mixed.card["training"]
    assert "## Privacy" not in (mixed.path / "README.md").read_text()


def test_the_verb_says_what_comes_next(members, tmp_path, capsys):
    args = argparse.Namespace(
        sources=[str(m) for m in members], shares="1,1,2", out=tmp_path / "out", json=False
    )
    tuning_verb.ensemble(args)
    assert f"genloom sample {tmp_path / 'out'}" in capsys.readouterr().out
    assert load(tmp_path / "out").model.shares == (0.25, 0.25, 0.5)
    args.shares = "1,x"
    with pytest.raises(BadInput, match="--shares x"):
        tuning_verb.ensemble(args)
