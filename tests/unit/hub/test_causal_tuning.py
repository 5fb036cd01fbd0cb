"""Checkpoints of others are tuned on talks: all their weights, or a low-rank difference of each."""

from __future__ import annotations

import json

import pytest
import torch

from genloom import artifact, runs
from genloom.core import Rng
from genloom.errors import BadInput
from genloom.hub import causal
from genloom.nets import lora
from tests.unit.hub.test_causal import compared
from tests.unit.hub.tiny_checkpoints import write

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]


@pytest.fixture(scope="module", params=[("qwen3", "chatml", 4), ("gpt2", "plain", 0)], ids=str)
def tuned(request, tmp_path_factory):
    """A run on a few messages from a tiny checkpoint: its folder, the checkpoint's, the rank."""
    kind, form, rank = request.param
    folder = tmp_path_factory.mktemp("tuned")
    write(folder / "base", kind, form)
    talks = [
        [{"role": "user", "content": word}, {"role": "assistant", "content": "yes"}]
        for word in WORDS
    ]
    text = "\n".join(json.dumps({"messages": talk}) for talk in talks)
    (folder / "talks.jsonl").write_text(text)
    base = str(folder / "base")
    recipe = {
        "data": {"source": str(folder / "talks.jsonl"), "tokenizer": base, "length": 40},
        "model": {"use": "autoregressive", "base": base, "rank": rank, "learned": "answers"},
        "train": {"threads": 1, "lr": 1e-2 if rank else 2e-3, "save_every": 40},
    }
    runs.train(recipe, out=folder / "run", steps=40, quiet=True)
    return folder / "run", folder / "base", rank


def test_tuning_lowers_the_loss_and_a_low_rank_leaves_the_weights(tuned):
    run, base, rank = tuned
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    losses = [line["nats"] for line in lines if "nats" in line]
    assert losses[-1] < losses[0] / 4
    before, after = (artifact.load(one, device="cpu").model.net for one in (base, run))
    same = [
        torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items()
    ]
    assert all(same) if rank else not any(same)
    learned = {name.rpartition(".")[2] for name, p in after.named_parameters() if p.requires_grad}
    assert learned == ({"a", "b"} if rank else {"weight", "bias"})


def test_a_tuned_model_answers_and_is_the_same_in_transformers(tuned, tmp_path):
    run, base, _ = tuned
    (run / "model").rename(tmp_path / "elsewhere")  # the artifact alone is enough
    found = artifact.load(tmp_path / "elsewhere", device="cpu")
    (tmp_path / "elsewhere").rename(run / "model")
    assert found.recipe["model"]["base"] == base.name
    words = found.items.lexicon
    prompt = [*words.document([("user", "au")])[:-1], *words.opening("assistant")]
    *_, x = found.model.complete(Rng([0]), {}, torch.tensor([prompt]), temperature=0.0)
    assert words.decode(x[0, len(prompt) :].tolist()).startswith("yes")
    weights = set(found.model.state_dict())
    causal.save(found, tmp_path / "theirs")
    assert set(found.model.state_dict()) == weights  # merged is what is written, no more
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "theirs").eval()
    wanted, logits = compared(theirs, found, 40)
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
    old = transformers.AutoModelForCausalLM.from_pretrained(base).eval()
    assert (compared(old, found, 40)[0] - wanted).abs().max() > 0.1


def test_a_run_goes_on_as_the_base_of_another_and_where_it_was(tuned, tmp_path):
    run, base, _ = tuned
    data = str(run.parent / "talks.jsonl")
    recipe = {
        "data": {"source": data, "tokenizer": str(base), "length": 40},
        "model": {"use": "autoregressive", "base": str(run), "rank": 2},
        "train": {"threads": 1},
    }
    again = runs.train(recipe, out=tmp_path / "again", steps=1, quiet=True)
    before = lora.merge(artifact.load(run, device="cpu").model.net).state_dict()
    after = again.model.net.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    other = {**recipe, "data": {**recipe["data"], "tokenizer": "bytes"}}
    with pytest.raises(BadInput, match=r"Set data\.tokenizer to that of the checkpoint"):
        runs.train(other, out=tmp_path / "other", steps=1, quiet=True)
    net = {"use": "llama", "width": 16, "heads": 2}
    other = {**recipe, "model": {**recipe["model"], "net": net}}
    with pytest.raises(BadInput, match="another net than this model"):
        runs.train(other, out=tmp_path / "third", steps=1, quiet=True)
