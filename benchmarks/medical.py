"""Chest X-rays: are generated ones of use, and are they copies? With and without privacy.

PneumoniaMNIST (28x28, normal or pneumonia). A conditional model learns the 4,708 training pictures
and draws equally many of both classes. A classifier trained on these alone (TSTR: train on
synthetic, test on real; Esteban et al., 2017, arXiv:1706.02633) stands beside one trained on the
real ones (TRTR) and beside a constant answer; all are judged on the official test part. The copy
test compares the nearness of samples to the training pictures with that of half of the test
pictures; the other half sets its threshold, for 8 of the 524 validation pictures are training
pictures, byte for byte.

The private side is the same recipe with `train.dp_epsilon` (see `genloom.private`), its noise
unseeded: its figures differ from run to run. Its epsilon covers the weights. It does not cover that
this script looks at the data beside it, as every benchmark does.

    python -m benchmarks.medical --minutes 3 --steps 1000 --epsilon 8 --seeds 0 1 2
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
from benchmarks.shared import data_folder
from genloom import runs
from genloom.metrics.copies import copy_test, nearness, planted
from genloom.metrics.encoder import Encoder, Judge, fit, look

Part = tuple[Tensor, Tensor]
Parts = dict[str, Part]


def xrays() -> Parts:
    """The official parts: (N, 1, 28, 28) uint8 and labels (N,)."""
    file = np.load(data_folder("pneumoniamnist") / "pneumoniamnist.npz")
    return {
        part: (
            torch.from_numpy(file[f"{part}_images"])[:, None],
            torch.from_numpy(file[f"{part}_labels"][:, 0]).long(),
        )
        for part in ("train", "test")
    }


@torch.no_grad()
def logits(judge: Judge, x: Tensor) -> Tensor:
    """Of pneumonia against normal, (N,)."""
    found = torch.cat([judge(look(part)) for part in x.split(500)])
    return found[:, 1] - found[:, 0]


def scores(score: Tensor, y: Tensor) -> dict[str, float]:
    """Balanced accuracy at 0, with its 95 % interval over the test pictures, and the ROC area."""
    hits = [((score > 0).long() == y)[y == k].double() for k in (0, 1)]
    value = sum(float(h.mean()) for h in hits) / 2
    # the variance of a mean of two proportions; 1 / 4n keeps it above 0 where all or none hit
    spread = [max(float(h.mean() * (1 - h.mean())), 1 / (4 * len(h))) / len(h) for h in hits]
    half = 1.96 * sum(spread) ** 0.5 / 2
    gaps = score[y == 1][:, None] - score[y == 0]
    area = ((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean()
    return {
        "balanced_accuracy": round(value, 4),
        "low": round(max(0.0, value - half), 4),
        "high": round(min(1.0, value + half), 4),
        "auc": round(float(area), 4),
    }


def trained_on(part: Part, test: Part, seen: int, seed: int) -> dict[str, float]:
    """A classifier of one part, judged on another."""
    torch.manual_seed(seed)
    judge = Judge((1, 28, 28), 2)
    fit(judge, *part, seen=seen, seed=seed)
    return scores(logits(judge, test[0]), test[1])


def copies(made: Tensor, parts: Parts, encoder: Encoder) -> dict[str, object]:
    """The copy test in pixels and in features, and whether it finds 5 % that are planted."""

    @torch.no_grad()
    def features(x: Tensor) -> Tensor:
        return torch.cat([encoder(look(part)) for part in x.split(500)])

    found = {}
    unseen = parts["test"][0]
    unseen = unseen[torch.randperm(len(unseen), generator=torch.Generator().manual_seed(0))]
    half = len(unseen) // 2
    for space, view in (("items", lambda x: x), ("features", features)):
        train = view(parts["train"][0])
        sides = (made[:half], unseen[:half], unseen[half:])
        near = [nearness(view(x), train) for x in sides]
        test = copy_test(space, *near)
        found[space] = {
            "share": round(test.share, 4),
            "held_out_share": round(test.held_out_share, 4),
            "p_value": float(f"{test.p_value:.2g}"),
            "copied": test.copied,
            "planted_found": copy_test(space, planted(near[0]), *near[1:]).copied,
        }
    return found


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="of the plain training")
    parser.add_argument("--steps", type=int, default=1000, help="of the private training")
    parser.add_argument("--batch", type=int, default=64, help="expected rows of a private step")
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--clip", type=float, default=10.0)
    parser.add_argument("--lr", type=float, default=2e-3, help="of the private training")
    parser.add_argument("--model", type=json.loads, default={"use": "cvae"})
    parser.add_argument("--made", type=int, default=4000, help="pictures to generate")
    parser.add_argument("--seen", type=int, default=40_000, help="pictures a classifier sees")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/medical"))
    return parser.parse_args()


def synthetic(
    args: argparse.Namespace, side: str, recipe: dict, parts: Parts, encoder: Encoder, seed: int
) -> dict[str, object]:
    """Train a model, draw both classes equally often, and judge what comes of it."""
    began, folder = time.monotonic(), args.out / f"{side}-{seed}"
    options: dict[str, float] = {"minutes": args.minutes}
    if side == "private":
        options = {"steps": args.steps, "batch": args.batch, "lr": args.lr}
        options |= {"dp_epsilon": args.epsilon, "dp_clip": args.clip}
    shutil.rmtree(folder, ignore_errors=True)
    shared = {"seed": seed, "threads": args.threads}
    model = runs.train(recipe, out=folder, quiet=True, **options, **shared)
    spent = round(time.monotonic() - began, 1)
    asked = torch.arange(args.made) % 2
    made = model.sample(args.made, seed=10**6, batch=500, label=asked.tolist())
    training = model.card["training"]
    return {
        "test": trained_on((made, asked), parts["test"], args.seen, seed),
        "copies": copies(made, parts, encoder),
        "train_s": spent,
        "steps": training["steps"],
        "private": training.get("private"),
    }


def main() -> None:
    """One JSON line a side and seed."""
    args = parsed()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    parts = xrays()
    x, y = parts["train"]
    np.savez(args.out / "xrays.npz", x_train=x.numpy(), y_train=y.numpy())
    source = {"source": str(args.out / "xrays.npz"), "valid": 0.05, "test": 0.0}
    recipe = {"data": source, "model": args.model}
    torch.manual_seed(0)
    encoder = Encoder((1, 28, 28), 2)
    fit(encoder, x, y, seen=args.seen, seed=0)
    constant = scores(torch.ones(len(parts["test"][1])), parts["test"][1])
    for seed in args.seeds:
        real = trained_on(parts["train"], parts["test"], args.seen, seed)
        lines: dict[str, dict] = {"constant": {"test": constant}, "TRTR": {"test": real}}
        for side in ("plain", "private"):
            lines[f"TSTR {side}"] = synthetic(args, side, recipe, parts, encoder, seed)
        for name, line in lines.items():
            facts = {"side": name, "seed": seed, "n": len(parts["test"][1]), "made": args.made}
            print(json.dumps({**facts, **line}), flush=True)
    print(json.dumps({"model": args.model, "seen": args.seen, **machine()}))


if __name__ == "__main__":
    main()
