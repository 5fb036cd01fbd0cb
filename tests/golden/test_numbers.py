"""Did the numbers move? Losses and samples of every family, beside those that were written down.

`make golden` writes them anew; CHANGELOG says why. They hold to a relative 1e-3: the order of
floating-point sums differs between processors, the formulas do not.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from genloom import catalog
from genloom.core import options
from genloom.given import encoded
from genloom.learner import Learner, Micro
from genloom.options import TrainOptions
from genloom.recipe import resolve
from genloom.sampling import sample
from tests.property.test_catalog import data_for, needed

FILE = Path(__file__).parent / "numbers.json"
STEPS = 6


def numbers(family: str) -> dict[str, list[float]]:
    """The summed loss terms of the first steps, and the mean and spread of two samples."""
    plan = resolve({"data": data_for(family), "model": {"use": family}})
    losses = []
    choices = TrainOptions(lr=1e-3, schedule="constant", warmup=0.0, steps=STEPS)
    learner = Learner(plan.model, choices, STEPS)
    for index in range(STEPS):
        items, cond, ids = plan.dataset.train.batch(index, 8, 0)
        x, cond = encoded(plan.codec, items, cond)
        if index == 0:
            plan.model.prepare(x, cond)
        figures = learner.step(index, [Micro(x, cond, 0, 8, ids)])
        losses.append(sum(v for k, v in figures.items() if not k.endswith("grad_norm")))
    quick = {"steps": 4} if "steps" in options(plan.model.sample_steps) else {}
    asked = {"label": torch.tensor([3, 8]), **needed(plan, 2)}
    x = sample(plan.model, 2, asked, **quick).double()
    return {"losses": losses, "samples": [float(x.mean()), float(x.std())]}


@pytest.mark.parametrize("family", catalog.names("model"))
def test_the_numbers_stand(family):
    found = numbers(family)
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    if os.environ.get("GENLOOM_GOLDEN") == "write":
        known[family] = found
        FILE.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    assert family in known, f"no numbers of {family}: run `make golden`"
    for key, values in known[family].items():
        assert found[key] == pytest.approx(values, rel=1e-3, abs=1e-3), key
