"""Prompts whose answers are made by rule: models that learned them answer what they never saw."""

from __future__ import annotations

import random

import pytest
import torch
from benchmarks.seq2seq import exact, judged, nearest, parted, words, written

from genloom import artifact, runs

SMALL = {"width": 64, "layers": 2}
FAMILIES = {
    "seq2seq": {**SMALL, "encoder_layers": 2},
    "autoregressive": {"net": {"use": "transformer", **SMALL}, "learned": "answers"},
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_number_words_become_digits(family, tmp_path):
    """900 numbers below 1,000, and 100 that are held out: "three hundred and twelve" -> "312"."""
    parts = parted(((words(n), str(n)) for n in range(1000)), random.Random(0))
    length = written(parts, tmp_path / "pairs.jsonl")
    recipe = {
        "data": {"source": str(tmp_path / "pairs.jsonl"), "length": length, "test": 0.0},
        "model": {"use": family, **FAMILIES[family]},
        "train": {"batch": 16, "threads": 1},
    }
    runs.train(recipe, out=tmp_path / "run", steps=500, quiet=True)
    test = parts["test"]
    with torch.inference_mode():
        found = judged(artifact.load(tmp_path / "run"), test)
    floor = exact(nearest(parts["train"], [prompt for prompt, _ in test]), test)
    assert len(test) == 100 and floor["exact"] < 0.05
    assert found["exact"] > 0.9
