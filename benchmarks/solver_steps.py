"""Quality against steps: Frechet distance of each solver at 5 to 250 steps, one trained model.

    python -m benchmarks.solver_steps --run runs/mnist/flow-seed0 --n 1000 --json curve.jsonl

Every cell draws from the same seeds and labels and is held against the same held-out items, in the
features of the data set's own extractor, so cells differ by the solver alone. Target: with the best
solver, 10 steps are within 5 % of the last count of steps; the ratio's interval leaves out groups
of samples on both sides at once. A distilled model (no option `steps`) is one cell of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import artifact
from genloom.artifact import Artifact
from genloom.data import BUILTIN, open_dataset, open_test
from genloom.metrics.estimate import Estimate, jackknife, leave_out
from genloom.metrics.extractor import extractor
from genloom.metrics.frechet import distance, frechet

NEAR, BAR = 10, 1.05


def arguments() -> argparse.Namespace:
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--run", type=Path, required=True, help="a trained model, or its run")
    found.add_argument("--distilled", type=Path, action="append", default=[])
    found.add_argument("--data", default="mnist", help="digits, or a folder of the shared data")
    found.add_argument("--test", type=float, default=0.1, help="held-out share; as in training")
    found.add_argument("--solvers", nargs="+", default=["unipc", "dpmpp", "heun", "euler"])
    found.add_argument("--steps", nargs="+", type=int, default=[5, 10, 20, 50, 250])
    found.add_argument("--guidance", type=float, default=1.0)
    found.add_argument("--n", type=int, default=1000)
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--json", type=Path, help="append the JSON line to this file")
    return found.parse_args()


def cells(given: argparse.Namespace) -> Iterator[tuple[str, Artifact, dict[str, Any]]]:
    """What is drawn: a name, the model, the sampling options; the most steps come first."""
    model = artifact.load(given.run, device="cpu")
    for steps in sorted(given.steps, reverse=True):
        for solver in given.solvers:
            options = {"steps": steps, "solver": solver, "guidance": given.guidance}
            yield f"{solver} {steps}", model, options
    for path in given.distilled:
        yield f"distilled {path.name}", artifact.load(path, device="cpu"), {}


def ratio(near: Tensor, far: Tensor, real: Tensor) -> tuple[float, float, float]:
    """How many times farther the one set is from the real one than the other, and its interval."""
    left_out = zip(leave_out(distance, near, real), leave_out(distance, far, real), strict=True)
    value = distance(near, real) / distance(far, real)
    return value, *jackknife(value, [a / b for a, b in left_out])


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    dataset = open_dataset(
        given.data if given.data in BUILTIN else str(data_folder(given.data)), test=given.test
    )
    encode = extractor(dataset.items, dataset.train)
    test = open_test(dataset)
    rows = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[: given.n]
    real, labels = encode(test.items[rows]), test.cond["label"][rows].tolist()
    features: dict[str, Tensor] = {}
    curve: list[Estimate] = []
    for name, model, options in cells(given):
        began = time.perf_counter()
        items = model.sample(given.n, seed=given.seed, label=labels, batch=64, **options)
        seconds = time.perf_counter() - began
        features[name] = encode(items)
        curve.append(frechet(features[name], real, id=encode.id, name=name))
        e = curve[-1]
        print(f"{name:24} {e.value:9.4g}  [{e.low:.4g}, {e.high:.4g}]  {seconds:.0f} s", flush=True)
    far = features[curve[0].name]
    ratios = {name: ratio(found, far, real) for name, found in features.items()}
    for name, (value, low, high) in ratios.items():
        print(f"{name:24} {value:.3f} of {curve[0].name}  [{low:.3f}, {high:.3f}]")
    line = {
        "run": given.run.name, "n": given.n, "seed": given.seed, "guidance": given.guidance,
        "curve": [e.as_dict() for e in curve], "reference": curve[0].name, "ratios": ratios,
        **machine(),
    }  # fmt: skip
    print(json.dumps(line))
    if given.json is not None:
        with given.json.open("a") as file:
            file.write(json.dumps(line) + "\n")
    near = [value for name, (value, *_) in ratios.items() if name.endswith(f" {NEAR}")]
    if near:
        verdict = "met" if min(near) <= BAR else "missed"
        print(f"best at {NEAR} steps: {min(near):.3f} of {curve[0].name}; target {BAR}: {verdict}")


if __name__ == "__main__":
    main()
