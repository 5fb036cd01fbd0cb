"""A running text by pieces and by bytes: trained, sampled, gone on with, judged, and served."""

from __future__ import annotations

import json
import math
import random
import urllib.request

import pytest
import torch

from genloom import artifact, data, evaluation, runs
from genloom.cli import main
from tests.e2e.server import serving

SMALL = {"use": "transformer", "width": 32, "layers": 1, "heads": 2}
WORDS = (
    ("the old", "a new", "one red"),
    ("caf\u00e9", "house"),
    ("by the sea", "in a wood", "near it"),
)
DRAWN = random.Random(0)
TEXT = "".join(" is ".join(map(DRAWN.choice, WORDS)) + ".\n" for _ in range(900))
WAYS = {"bytes": {"tokenizer": "bytes"}, "bpe": {"tokenizer": "bpe", "vocab": 300}}


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("running")
    (folder / "some.txt").write_text(TEXT, "utf-8")
    recipe = {
        "data": {"source": str(folder / "some.txt"), "length": 24, "test": 0.3, **request.param},
        "model": {"use": "autoregressive", "net": SMALL},
        "train": {"batch": 32, "threads": 1},
    }
    runs.train(recipe, out=folder / "run", steps=150, quiet=True)
    return folder / "run"


def test_samples_and_what_goes_on_is_text_like_the_data(run, tmp_path):
    model = artifact.load(run)
    said = [model.items.read(item) for item in model.sample(40, seed=5)]
    known = {word for words in WORDS for each in words for word in each.split()} - {"a", "it"}
    assert sum(any(word in text for word in known) for text in said) > 30
    line = ["sample", str(run), "--prompt", "the old", "-n", "2", "--out", str(tmp_path)]
    assert main([*line, "--no-grid"]) == 0
    for i in range(2):
        text = (tmp_path / f"{i:06d}.txt").read_text("utf-8")
        assert text.startswith("the old") and len(text) > 12


def test_a_verdict_counts_the_bytes_that_tokens_stand_for(run):
    model = artifact.load(run)
    verdict = evaluation.evaluate(model, force=True)
    found = {e.name: e for e in verdict.estimates}["bits_per_byte"]
    (path,) = run.parent.glob("*.txt")
    told = model.recipe["data"]
    known = {k: told[k] for k in ("length", "tokenizer", "vocab", "test") if k in told}
    items = data.open_test(data.open_dataset(path, **known)).items.long()
    with torch.inference_mode():
        nats = -float(model.model.log_prob(items, {}).sum())
    size = len(model.items.lexicon.decode(items.flatten().tolist()).encode())
    assert len(items) <= 1000 and found.n == len(items)
    assert found.value == pytest.approx(nats / math.log(2) / size, rel=2e-3)
    least = math.log2(18) / (len(TEXT.encode()) / 900)
    assert least < found.value < 1 and least < found.baselines["5-gram"] < 1


@pytest.mark.parametrize("run", [WAYS["bpe"]], ids=["bpe"], indirect=True)
def test_a_server_goes_on_from_a_prompt(run, tmp_path):
    model = artifact.load(run)
    with serving(tmp_path, {"some": run}) as server:
        body = {"model": "some", "prompt": "the old", "seed": 3, "max_tokens": 8}
        request = urllib.request.Request(
            f"{server.url}/v1/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = json.load(answer)
    (choice,) = told["choices"]
    assert told["usage"]["completion_tokens"] == 8 and choice["finish_reason"] == "length"
    assert len(model.items.lexicon.encode(choice["text"])) >= 4
