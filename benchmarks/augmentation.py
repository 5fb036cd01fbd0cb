"""Does a classifier learn more from real pictures with generated ones beside them?

For each number of labelled MNIST digits a conditional model is trained on THOSE digits and no
others, so it knows nothing that the classifier could not see. Three classifiers of one design see
equally many pictures in training (each picture shifted a little at every visit, on all sides):
real ones, real and generated ones (half of each batch), generated ones alone. They are judged on
the official test part. The interval of a gain is Student's over the seeds, each of which draws
other digits and weights; with one seed there is none. A gain whose interval holds 0 is no gain.

    python -m benchmarks.augmentation --labels 100 1000 60000 --seeds 0 1 2 --steps 2000
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.stacked_mnist import digits, read
from genloom import runs
from genloom.metrics.encoder import Judge, fit
from genloom.metrics.estimate import mean_interval

SIDES = ("real", "both", "generated")


def subset(x: Tensor, y: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """The labelled digits, as many of each class as may be, in an order of the seed."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    if n >= len(x):
        return x[order], y[order]
    rank = torch.zeros(len(x), dtype=torch.long)  # place of a digit among those of its class
    for label in range(10):
        mine = order[y[order] == label]
        rank[mine] = torch.arange(len(mine))
    chosen = order[rank[order].argsort(stable=True)][:n]
    return x[chosen], y[chosen]


def accuracy(x: Tensor, y: Tensor, seen: int, seed: int) -> float:
    """On the test part, of a classifier trained on so many pictures in all."""
    torch.manual_seed(seed)
    judge = Judge((1, 28, 28), 10)
    fit(judge, x, y, seen=seen, seed=seed)
    images, labels = digits("t10k")
    return (read(judge, images) == labels).float().mean().item()


def balanced(real: tuple[Tensor, Tensor], made: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Both, the smaller set repeated until it is as large as the other."""
    n = max(len(real[0]), len(made[0]))
    rows = [torch.arange(n) % len(x) for x, _ in (real, made)]
    return (
        torch.cat([real[0][rows[0]], made[0][rows[1]]]),
        torch.cat([real[1][rows[0]], made[1][rows[1]]]),
    )


def trial(args: argparse.Namespace, n: int, seed: int) -> dict[str, object]:
    """One model and its three classifiers."""
    x, y = subset(*digits("train"), n, seed)
    source = args.out / f"digits-{n}-{seed}.npz"
    np.savez(source, x_train=x.numpy(), y_train=y.numpy())
    folder = args.out / f"{args.model['use']}-{n}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    recipe = {"data": {"source": str(source), **args.data}, "model": args.model}
    began = time.monotonic()
    model = runs.train(
        recipe, out=folder, steps=args.steps, seed=seed, threads=args.threads, quiet=True
    )
    trained = time.monotonic() - began
    asked = torch.arange(args.made) % 10
    made = model.sample(args.made, seed=10**6, batch=500, label=asked.tolist())
    sides = {"real": (x, y), "both": balanced((x, y), (made, asked)), "generated": (made, asked)}
    found = {name: round(accuracy(*sides[name], args.seen, seed), 4) for name in SIDES}
    return {
        "labels": n,
        "seed": seed,
        **found,
        "gain": round(found["both"] - found["real"], 4),
        "steps": model.card["training"]["steps"],
        "train_s": round(trained, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def interval(gains: list[float]) -> dict[str, object]:
    """Mean gain with Student's 95 % interval over the seeds."""
    if len(gains) < 2:
        return {"gain": gains[0], "low": None, "high": None, "verdict": "one seed: no claim"}
    mean, low, high = mean_interval(torch.tensor(gains, dtype=torch.float64))
    verdict = "helps" if low > 0 else "hurts" if high < 0 else "no difference shown"
    found = {"gain": mean, "low": low, "high": high}
    return {**{name: round(value, 4) for name, value in found.items()}, "verdict": verdict}


def main() -> None:
    """One JSON line a number of labels and seed, then one for each number of labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000, 60_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2000, help="of the model's training")
    parser.add_argument("--model", type=json.loads, default={"use": "cvae"})
    parser.add_argument("--data", type=json.loads, default={"shift": 1}, help="keys of [data]")
    parser.add_argument("--made", type=int, default=10_000, help="pictures to generate")
    parser.add_argument("--seen", type=int, default=60_000, help="pictures a classifier sees")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/augmentation"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    for n in args.labels:
        lines = [trial(args, n, seed) for seed in args.seeds]
        for line in lines:
            print(json.dumps(line), flush=True)
        total = {
            "labels": n,
            "seeds": len(lines),
            **interval([float(str(line["gain"])) for line in lines]),
            "model": args.model,
            "data": args.data,
            "steps": args.steps,
            "made": args.made,
            "seen": args.seen,
            "test_n": len(digits("t10k")[1]),
        }
        print(json.dumps({**total, **machine()}), flush=True)


if __name__ == "__main__":
    main()
