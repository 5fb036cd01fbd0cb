"""25 Gaussians: the vanilla GAN loses modes and its alarm rings; the R3GAN loss finds them all.

A 5 x 5 grid of Gaussians (spacing 2, deviation 0.05; Srivastava et al., 2017, arXiv:1705.07761,
section 4.1), scaled to unit variance, 20,000 points, through the library's own trainer with equal
nets, noise, batch and steps, each side at its family's rate. A sample is of high quality within
three deviations of a mode; a mode counts as covered with at least a fifth of its share of all
samples (theirs is looser: one sample, which is printed as `touched`).

    python -m benchmarks.gaussians25 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import machine
from genloom import runs
from genloom.artifact import load

SPREAD = 0.05
SCALE = 8**0.5  # deviation of the grid along each axis: spacing 2, five places
NET = {"width": 128, "depth": 3, "norm": "none"}
SIDES = {
    "vanilla": {"use": "mlp_gan", "latent": 2, **NET},
    "r3gan": {"use": "gan", "latent": 2, "net": {"use": "mlp_players", **NET}},
}


def modes() -> Tensor:
    """(25, 2), in units of the data's deviation."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return torch.cartesian_prod(line, line) / SCALE


def draw(n: int, seed: int) -> Tensor:
    """Data, (n, 2)."""
    random = torch.Generator().manual_seed(seed)
    which = torch.randint(25, (n,), generator=random)
    return modes()[which] + SPREAD / SCALE * torch.randn(n, 2, generator=random)


def judge(x: Tensor) -> dict[str, float]:
    """Modes covered, modes touched, share of samples of high quality."""
    distance, nearest = torch.cdist(x, modes()).min(1)
    good = distance < 3 * SPREAD / SCALE
    counts = torch.bincount(nearest[good], minlength=25)
    return {
        "modes": int((counts >= len(x) / 25 / 5).sum()),
        "touched": int((counts > 0).sum()),
        "high_quality": round(good.float().mean().item(), 4),
        "median_distance": round(distance.median().item() / SPREAD * SCALE, 2),
    }


def trial(
    name: str, model: dict, seed: int, *, steps: int, batch: int, samples: int, out: Path
) -> dict:
    """Train a model on the grid through the library, and judge its samples.

    Args:
        name: Of the run's folder.
        model: The recipe's [model] table.
        seed: Of weights, data order and noise; samples have the same seeds in every trial.
        steps: Updates.
        batch: Data per update.
        samples: How many are judged.
        out: Where the run and the data lie.
    """
    out.mkdir(parents=True, exist_ok=True)
    grid = out / "grid.npz"
    if not grid.exists():
        np.savez(grid, x=draw(20_000, seed=0).numpy())
    folder = out / f"{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    options = {"steps": steps, "batch": batch, "seed": seed, "threads": 1}
    recipe = {"data": {"source": str(grid)}, "model": model, "train": options}
    runs.start(recipe, out=folder)
    figures = judge(load(folder).sample(samples, seed=10**6, batch=samples))
    record = json.loads((folder / "run.json").read_text())
    alarms = [alarm["alarm"] for alarm in record["alarms"]]
    return {**figures, "alarms": alarms, "seconds": round(record["seconds"], 1), "steps": steps}


def parser(description: str | None, sides: Iterable[str], out: str) -> argparse.ArgumentParser:
    """What every benchmark on this grid asks."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    found.add_argument("--sides", nargs="+", default=list(sides), choices=list(sides))
    found.add_argument("--steps", type=int, default=6000)
    found.add_argument("--batch", type=int, default=256)
    found.add_argument("--samples", type=int, default=10_000)
    found.add_argument("--out", type=Path, default=Path(out))
    return found


def main() -> None:
    """Train both sides for each seed; one JSON line each, then a line that sums up."""
    args = parser(__doc__, SIDES, "runs/gaussians25").parse_args()
    size = {"steps": args.steps, "batch": args.batch, "samples": args.samples}
    for side in args.sides:
        covered, alarmed = [], []
        for seed in args.seeds:
            figures = trial(side, SIDES[side], seed, out=args.out, **size)
            covered.append(figures["modes"])
            alarmed.append("collapse" in figures["alarms"])
            print(json.dumps({"side": side, "seed": seed, **figures, **machine()}), flush=True)
        print(
            f"{side}: modes of 25 by seed {covered}, collapse alarm by seed {alarmed}", flush=True
        )


if __name__ == "__main__":
    main()
