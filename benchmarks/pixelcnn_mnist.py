"""Exact nats of a PixelCNN on binarised MNIST, 28x28, by the clock.

Binarisation is *dynamic* in training: at each visit a grey value v becomes a bit with probability
v / 255 (Salakhutdinov and Murray, 2008). What is judged is one seeded draw of the test images
(seed 1), as in `vae_bound`; not the file of Larochelle and Murray (2011), and not images that are
cut at a threshold, which cost fewer nats. Training reads 55,000 of the 60,000 training images, the
curve the other 5,000.

With patch 2 a token is a block of 2x2 bits: the net reads 14x14 tokens of 16 kinds in raster order
and its likelihood is an exact one of the same 784 bits, at a quarter of the places.

    python -m benchmarks.pixelcnn_mnist --minutes 55
"""

from __future__ import annotations

import argparse
import json
import math
import time
from functools import partial

import torch
from torch import Tensor

from benchmarks.harness import machine
from benchmarks.vae_bound import binarised, mnist
from genloom.codecs import Pixels
from genloom.core import Items
from genloom.learner import Learner, Micro
from genloom.models.autoregressive import Autoregressive
from genloom.nets.pixelcnn import PixelCnn
from genloom.options import TrainOptions

ANCHOR = 81.50  # nats: gated PixelCNN, dynamic, README of EugenHotaj/pytorch-generative
SHOWN = (1, 2, 5, 10, 20, 40)  # minutes at which the held-out images are judged


@torch.inference_mode()
def nats(model: Autoregressive, x: Tensor, rows: int = 250) -> Tensor:
    """Exact negative log-likelihood of each image, (N,)."""
    return torch.cat([-model.log_prob(part, {}) for part in x.split(rows)])


def train(model: Autoregressive, codec: Pixels, args: argparse.Namespace) -> tuple[Learner, list]:
    """The library's step under a schedule that follows the clock; minutes and nats on the way."""
    images = mnist("train")
    held = codec.encode(_bytes(binarised(images[55_000:][: args.held], 2)))
    options = TrainOptions(
        **{**model.recommended, "batch": args.batch, "lr": args.lr, "matrix_lr": args.matrix_lr},
        seed=args.seed,
    )
    learner = Learner(model, options)
    began, judging, index, curve = time.perf_counter(), 0.0, 0, []
    draws = torch.Generator().manual_seed(args.seed)
    order = torch.empty(0, dtype=torch.long)
    shown = [minutes for minutes in SHOWN if minutes < args.minutes]
    while (spent := (time.perf_counter() - began - judging) / 60) < args.minutes:
        if shown and spent >= shown[0]:
            start = time.perf_counter()
            value = nats(learner.sampler(), held).mean().item()  # pyright: ignore[reportArgumentType]
            curve.append((shown.pop(0), round(value, 2)))
            print(f"{curve[-1][0]} min, step {index}: held-out {value:.2f} nats", flush=True)
            judging += time.perf_counter() - start
        if len(order) < args.batch:
            order = torch.randperm(55_000, generator=draws)
        rows, order = order[: args.batch], order[args.batch :]
        grey = images[rows].float() / 255
        bits = (torch.rand(grey.shape, generator=draws) < grey).to(torch.uint8) * 255
        # the schedule asks for the share of the budget that is spent
        learner.total = max(index + 1, round(index * args.minutes / max(spent, 1e-3)))
        learner.step(index, [Micro(codec.encode(bits), {}, 0, args.batch, rows)])
        index += 1
    learner.total = index
    return learner, curve


def main() -> None:
    """Train, then print one JSON line with the nats, their standard error and what they took."""
    parser = argparse.ArgumentParser(description="exact nats of a PixelCNN on binarised MNIST")
    parser.add_argument("--minutes", type=float, default=55)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patch", type=int, choices=[1, 2], default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=7)
    parser.add_argument("--kernel", type=int, choices=[3, 5], default=3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--held", type=int, default=1000, help="held-out images of the curve")
    parser.add_argument("--test", type=int, default=10_000, help="test images that are judged")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    codec = Pixels(Items("image", (1, 28, 28)), levels=2, patch=args.patch)
    net = partial(
        PixelCnn, width=args.width, layers=args.layers, kernel=args.kernel, dropout=args.dropout
    )
    model = Autoregressive(codec.space, {}, net=net)
    busy = time.process_time()
    learner, curve = train(model, codec, args)
    busy = time.process_time() - busy
    start = time.perf_counter()
    test = codec.encode(_bytes(binarised(mnist("t10k")[: args.test], 1)))
    found = nats(learner.sampler(), test)  # pyright: ignore[reportArgumentType]
    figures = {
        "nats": round(found.mean().item(), 3),
        "standard_error": round(found.std().item() / math.sqrt(len(found)), 3),
        "bits_per_dim": round(found.mean().item() / 784 / math.log(2), 4),
        "anchor": ANCHOR,
        "images": len(found),
        "binarisation": "dynamic in training; one seeded draw (seed 1) of the test images",
        "steps": learner.total,
        "curve": curve,
        "cpu_minutes": round(busy / 60, 2),  # of all threads, the curve's judging with it
        "judging_seconds": round(time.perf_counter() - start, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        **{name: value for name, value in vars(args).items() if name != "test"},
    }
    print(json.dumps({"benchmark": "pixelcnn_mnist", **figures, **machine()}))


def _bytes(bits: Tensor) -> Tensor:
    """-1 and 1 -> 0 and 255."""
    return ((bits + 1) * 127.5).to(torch.uint8)


if __name__ == "__main__":
    main()
