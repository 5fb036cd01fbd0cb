"""Two processes give the weights of one, for one player and for two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

RUN = """
import json, sys
from pathlib import Path
from genloom.recipe import resolve
from genloom.trainer import train
train(resolve(json.loads(sys.argv[1])), Path(sys.argv[2]), quiet=True)
"""

RECIPES = {
    "gan": {"data": {"source": "digits"}, "model": {"use": "gan"}},
    "flow": {"data": {"source": "digits", "shift": 1}, "model": {"use": "flow"}},
}


def run(recipe: dict, out: Path, script: Path, processes: int) -> dict:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(script), json.dumps(recipe), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return load_file(out / "checkpoints" / "step-00000012" / "weights.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("family", RECIPES)
def test_two_processes_give_the_weights_of_one(tmp_path, family):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    recipe = RECIPES[family] | {"train": {"steps": 12, "batch": 16, "preview_every": 6}}
    one = run(recipe, tmp_path / "one", script, 1)
    two = run(recipe, tmp_path / "two", script, 2)
    worst = max(float((one[key] - two[key]).abs().max()) for key in one)
    assert worst < 1e-6, worst
    assert json.loads((tmp_path / "two" / "run.json").read_text())["status"] == "done"
