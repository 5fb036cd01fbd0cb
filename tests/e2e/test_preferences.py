"""A model that answers in two ways learns which one is preferred, and is an ordinary one again."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest
import torch

from genloom import artifact, data, runs
from genloom.cli import main
from genloom.core import Rng
from genloom.errors import BadInput
from genloom.metrics.preferences import preferences
from genloom.progress import Journal
from genloom.recipe import resolve
from genloom.trainer import train
from tests.unit.data.test_documents import written

WORDS = ["".join(pair) for pair in itertools.product("abcdefgh", repeat=2)]
SMALL = {"use": "transformer", "width": 32, "layers": 1, "heads": 2}
LENGTH = 24  # of rows: four documents of the base in each


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a run `base` that answers in capitals or not, and pairs that prefer capitals."""
    folder = tmp_path_factory.mktemp("preferences")
    rows = [{"prompt": w, "completion": f(w[0])} for w in WORDS for f in (str.upper, str.lower)]
    written(folder / "base.jsonl", rows)
    pairs = [{"prompt": w, "chosen": w[0].upper(), "rejected": w[0]} for w in WORDS]
    written(folder / "pairs.jsonl", pairs)
    recipe = {
        "data": {"source": str(folder / "base.jsonl"), "length": LENGTH},
        "model": {"use": "autoregressive", "net": SMALL, "learned": "answers"},
        "train": {"threads": 1, "batch": 32},
    }
    runs.train(recipe, out=folder / "base", steps=100, quiet=True)
    return folder


def tuning(folder, steps: int, **data) -> dict:
    return {
        "data": {"source": str(folder / "pairs.jsonl"), "length": LENGTH, **data},
        "model": {
            "use": "autoregressive",
            "base": str(folder / "base"),
            "learned": "preferred",
            "beta": 0.5,
            "nll": 1.0,
        },
        "train": {"threads": 1, "lr": 4e-3, "batch": 16, "steps": steps},
    }


@pytest.fixture(scope="module")
def tuned(folder):
    return runs.train(tuning(folder, 60, test=0.5), out=folder / "tuned", quiet=True)


def answers(model: artifact.Artifact) -> list[str]:
    """One to each of many prompts, drawn as the model has them."""
    lexicon, asked = model.items.lexicon, WORDS * 8
    given = torch.tensor(
        [
            [*lexicon.opening("user"), *lexicon.encode(w), *lexicon.opening("assistant")]
            for w in asked
        ]
    )
    *_, rows = model.model.complete(Rng(range(len(asked))), {}, given)
    return [lexicon.decode(row[given.shape[1] :].tolist()) for row in rows]


def test_what_is_preferred_is_what_is_drawn(folder, tuned):
    before, after = (
        [sum(map(kind, answers(model))) / (8 * len(WORDS)) for kind in (str.isupper, str.islower)]
        for model in (artifact.load(folder / "base"), tuned)
    )
    assert 0.35 < before[0] < 0.65 and sum(before) > 0.95
    assert after[0] >= 0.9
    lines = Journal.read(folder / "tuned" / "metrics.jsonl")
    margins = [line["health/reward_margin"] for line in lines if "health/reward_margin" in line]
    assert len(margins) == 6 and margins[0] < margins[-1] / 2


def test_a_verdict_counts_the_pairs_before_and_after(folder, tuned):
    test = data.open_test(data.open_dataset(folder / "pairs.jsonl", length=LENGTH, test=0.5))
    after, before = preferences(tuned, test.items, test.cond["rejected"], {})
    assert (after.name, before.name) == ("preferred", "preferred_by_base")
    assert after.value > 0.95 and after.low > before.value and after.trivial == 0.5


def test_the_artifact_knows_nothing_of_pairs_or_of_the_base(folder, tuned, tmp_path):
    shutil.copytree(folder / "tuned" / "model", tmp_path / "alone")
    alone = artifact.load(tmp_path / "alone")
    assert alone.model.conditions == {} == alone.items.conditions
    assert alone.sample(4, seed=1).tolist() == tuned.sample(4, seed=1).tolist()
    assert alone.recipe["model"]["base"] == "base"
    assert not any("rejected" in path.name for path in tmp_path.rglob("*"))


def test_data_are_read_as_a_run_reads_them(folder, tmp_path):
    base = artifact.load(folder / "base")
    written(tmp_path / "a.jsonl", [{"prompt": w, "chosen": "A", "rejected": "a"} for w in WORDS])
    path, ours = tmp_path / "a.jsonl", str(folder / "base")
    assert data.open_dataset(path, length=LENGTH, tokenizer=ours).items == base.items
    assert data.open_dataset(path, length=LENGTH).items != base.items  # fewer letters
    with pytest.raises(BadInput, match="talks = 'chatml' is a form for checkpoints of others"):
        data.open_dataset(path, tokenizer=ours, talks="chatml")
    written(tmp_path / "b.jsonl", [{"prompt": w, "completion": "z"} for w in WORDS])
    with pytest.raises(BadInput, match="without the character 'z'"):
        data.open_dataset(tmp_path / "b.jsonl", tokenizer=ours)
    shutil.copytree(folder / "base" / "model", tmp_path / "plain")
    card = json.loads((tmp_path / "plain" / "card.json").read_text())
    for marks, what in ((["end"], "parts of assistant, user"), ([], "an end")):
        card["items"]["lexicon"]["marks"] = marks
        (tmp_path / "plain" / "card.json").write_text(json.dumps(card))
        with pytest.raises(BadInput, match=f"was trained on texts without {what}"):
            data.open_dataset(path, tokenizer=str(tmp_path / "plain"))


class Stop(RuntimeError):
    """Pulls the plug in the middle of a run."""


def test_a_run_that_was_cut_off_ends_with_the_same_bits(folder, tmp_path):
    recipe = tuning(folder, 8)
    recipe["train"] |= {"save_every": 4, "preview_every": 8}
    whole = runs.train(recipe, out=tmp_path / "whole", quiet=True)
    plan = resolve(recipe)
    batch = plan.dataset.train.batch

    def failing(position: int, size: int, seed: int):
        if position == 6 and (tmp_path / "cut" / "metrics.jsonl").exists():
            raise Stop
        return batch(position, size, seed)

    plan.dataset.train.batch = failing
    with pytest.raises(Stop):
        train(plan, tmp_path / "cut", quiet=True)
    train(resolve(recipe), tmp_path / "cut", quiet=True)
    assert artifact.load(tmp_path / "cut").hash == whole.hash


@pytest.mark.parametrize(
    ("source", "model", "says"),
    [
        ("pairs.jsonl", ("learned=preferred",), "name it, model.base"),
        ("base.jsonl", ("learned=preferred", "base={base}"), "give rows with prompt, chosen and"),
        ("pairs.jsonl", ("beta=0.2",), 'set model.learned = "preferred" too'),
    ],
)
def test_what_is_missing_is_told(folder, tmp_path, capsys, source, model, says):
    chosen = [f"--set=model.{one.format(base=folder / 'base')}" for one in model]
    told = ["--data", str(folder / source), "--model", "autoregressive", "--set=train.steps=1"]
    code = main(
        ["train", *told, *chosen, f"--set=data.length={LENGTH}", "--out", str(tmp_path / "x")]
    )
    assert code == 2 and says in capsys.readouterr().err
