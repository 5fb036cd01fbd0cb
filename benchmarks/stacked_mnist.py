"""Stacked MNIST: how many of 1,000 modes does a GAN find, and how evenly?

Three digits at random are the red, green and blue of a 28x28 picture (Metz et al., 2017,
arXiv:1611.02163, section 3.3); no label is given. A classifier that is trained here on single
digits, whose accuracy on the test part is printed, reads each channel of the samples: modes found
among 1,000, and KL(samples || data) in nats, where the data are uniform. As many stacks of unseen
digits go the same way and say what is the best to be had at this n.

    python -m benchmarks.stacked_mnist --minutes 7 [--model '{"use": "wgan_gp"}']
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.shared import data_folder
from genloom import runs
from genloom.metrics.encoder import Judge, fit, look

MODES = 1000


def digits(part: str) -> tuple[Tensor, Tensor]:
    """MNIST's "train" or "t10k": (N, 1, 28, 28) uint8 and labels (N,)."""
    folder = data_folder("mnist")
    x, y = (
        np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=skip).copy()
        for name, skip in (
            (f"{part}-images-idx3-ubyte.gz", 16),
            (f"{part}-labels-idx1-ubyte.gz", 8),
        )
    )
    return torch.from_numpy(x).view(-1, 1, 28, 28), torch.from_numpy(y).long()


def stacks(images: Tensor, n: int, seed: int) -> Tensor:
    """(n, 3, 28, 28) of digits drawn at random."""
    random = torch.Generator().manual_seed(seed)
    return images[torch.randint(len(images), (n, 3), generator=random), 0]


def classifier(seed: int, threads: int, seen: int) -> tuple[Judge, float]:
    """Trained on so many pictures of the training part; with its accuracy on the test part."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    judge = Judge((1, 28, 28), 10)
    fit(judge, *digits("train"), seen=seen, seed=seed)
    x, y = digits("t10k")
    return judge, (read(judge, x) == y).float().mean().item()


@torch.no_grad()
def read(judge: Judge, images: Tensor) -> Tensor:
    """The class of each digit, (N,)."""
    return torch.cat([judge(look(part)).argmax(1) for part in images.split(500)])


def spread(judge: Judge, items: Tensor) -> dict[str, float]:
    """Modes that are hit at least once, and KL to the uniform distribution, of (n, 3, 28, 28)."""
    classes = read(judge, items.flatten(0, 1)[:, None]).view(-1, 3)
    counts = torch.bincount(classes @ torch.tensor([100, 10, 1]), minlength=MODES)
    share = counts[counts > 0].double() / counts.sum()
    kl = (share * (share * MODES).log()).sum()
    return {"modes": int((counts > 0).sum()), "kl": round(kl.item(), 4)}


def main() -> None:
    """Train the model and the classifier, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, default={"use": "gan"})
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--stacks", type=int, default=40_000, help="pictures to train on")
    parser.add_argument("--n", type=int, default=26_000, help="samples that are judged")
    parser.add_argument("--seen", type=int, default=90_000, help="pictures, for the classifier")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/stacked_mnist"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez(args.out / "stacks.npz", x=stacks(digits("train")[0], args.stacks, 0).numpy())
    model = runs.train(
        {"data": {"source": str(args.out / "stacks.npz")}, "model": args.model},
        out=args.out / f"{args.model['use']}-{args.seed}",
        minutes=args.minutes,
        seed=args.seed,
        threads=args.threads,
    )
    began = time.monotonic()
    x = model.sample(args.n, seed=10**6, batch=500)
    sampling_s = time.monotonic() - began
    judge, accuracy = classifier(args.seed, args.threads, args.seen)
    line = {
        "model": args.model,
        "minutes": args.minutes,
        "seed": args.seed,
        "n": args.n,
        "classifier_accuracy": round(accuracy, 4),
        "samples": spread(judge, x),
        "data": spread(judge, stacks(digits("t10k")[0], args.n, 1)),
        "sampling_s": round(sampling_s, 1),
    }
    print(json.dumps({**line, **machine()}))


if __name__ == "__main__":
    main()
