"""A GAN from few pictures: without augmentation, with it always, and as the discriminator needs it.

Some hundred labelled MNIST digits, one net pair and loss, equal steps. Judged on the official test
part, with networks trained on all 60,000 training pictures, which no side has seen: Frechet
distance of their features (their own floor: training pictures in place of samples), and how often
the picture shows the digit that was asked for. No Inception network is involved.

    python -m benchmarks.small_data --images 500 --steps 2500
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.stacked_mnist import classifier, digits, read
from genloom import runs
from genloom.metrics.encoder import Encoder, fit, look
from genloom.metrics.frechet import distance

PAIR = {"use": "dcgan_players", "width": 16, "batchnorm": False}
GAN = {"use": "gan", "loss": "ns", "penalty": "r1", "gamma": 0.1, "net": PAIR}
BOTH = "translation+cutout"
SIDES = {
    "none": GAN,
    "always": {**GAN, "augment": BOTH},
    "adaptive": {**GAN, "augment": BOTH, "adaptive": 0.6},
}


def features_of(seed: int, seen: int) -> Encoder:
    """Trained on so many of all training pictures."""
    torch.manual_seed(seed)
    encoder = Encoder((1, 28, 28), 10)
    fit(encoder, *digits("train"), seen=seen, seed=seed)
    return encoder


@torch.no_grad()
def features(encoder: Encoder, images: Tensor) -> Tensor:
    """(N, 64)."""
    return torch.cat([encoder(look(part)) for part in images.split(500)])


def main() -> None:
    """One JSON line a side and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--n", type=int, default=5000, help="samples that are judged")
    parser.add_argument("--seen", type=int, default=90_000, help="pictures, for the judges")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/small_data"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    x, y = digits("train")
    source = args.out / f"digits-{args.images}.npz"
    np.savez(source, x_train=x[: args.images].numpy(), y_train=y[: args.images].numpy())
    judge, accuracy = classifier(0, args.threads, args.seen)
    encoder = features_of(0, args.seen)
    test = features(encoder, digits("t10k")[0])
    floor = distance(features(encoder, x[-args.n :]), test)
    for side in args.sides:
        for seed in args.seeds:
            folder = args.out / f"{side}-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            recipe = {"data": {"source": str(source)}, "model": SIDES[side]}
            model = runs.train(
                recipe, out=folder, steps=args.steps, seed=seed, threads=args.threads
            )
            asked = torch.arange(args.n) % 10
            made = model.sample(args.n, seed=10**6, batch=500, label=asked.tolist())
            record = json.loads((folder / "run.json").read_text())
            line = {
                "side": side,
                "seed": seed,
                "images": args.images,
                "steps": args.steps,
                "frechet": round(distance(features(encoder, made), test), 2),
                "frechet_floor": round(floor, 2),
                "label_accuracy": round((read(judge, made) == asked).float().mean().item(), 4),
                "classifier_accuracy": round(accuracy, 4),
                "p": round(
                    float(model.model.state_dict().get("adaptive.p", torch.tensor(torch.nan))), 3
                ),
                "seconds": round(record["seconds"], 1),
                "n": args.n,
            }
            print(json.dumps({**line, **machine()}), flush=True)


if __name__ == "__main__":
    main()
