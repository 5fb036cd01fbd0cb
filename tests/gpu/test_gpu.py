"""What needs an accelerator: every family trains and samples there, and the probe decides."""

from __future__ import annotations

import json

import pytest
import torch

from genloom import artifact
from genloom.recipe import resolve
from genloom.trainer import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine"),
]


@pytest.mark.parametrize("family", ["gan", "vae", "flow", "autoregressive"])
def test_a_family_trains_on_the_gpu_and_samples_alike_on_the_cpu(tmp_path, family):
    table = {"steps": 30, "batch": 64, "device": "cuda"}
    recipe = {"data": {"source": "digits"}, "model": {"use": family}, "train": table}
    out = train(resolve(recipe), tmp_path / family, quiet=True)
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "done" and record["precision"] in ("float32", "bfloat16")
    here, there = (
        artifact.load(out, device=device).sample(4, seed=1, label=3) for device in ("cpu", "cuda")
    )
    assert (here.float() - there.cpu().float()).abs().mean() < 8
