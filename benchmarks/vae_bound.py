"""Importance-weighted bound of a VAE on binarised MNIST, 28x28, in nats.

The data are a *seeded fixed draw*: each grey value v of MNIST becomes a bit with probability
v / 255, once, by a generator with seed 0 (train) and 1 (test). That is the recipe of Salakhutdinov
and Murray (2008), not the file of Larochelle and Murray (2011), which is another such draw.
Training and validation use the 60,000 training images only; the test images are read at the end.

    python -m benchmarks.vae_bound --minutes 30 --k 1000
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness import machine
from genloom.core import Real, Step
from genloom.models.vae import Vae
from genloom.nets.conv import conv_coder
from genloom.nets.dense import mlp_coder


def mnist(part: str) -> Tensor:
    """Grey images, uint8 (N, 1, 28, 28), from GENLOOM_DATA/mnist."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GENLOOM_DATA", default)) / "mnist"
    raw = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    return torch.frombuffer(bytearray(raw[16:]), dtype=torch.uint8).view(-1, 1, 28, 28)


def binarised(images: Tensor, seed: int) -> Tensor:
    """One fixed draw of bits, as -1 and 1."""
    u = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(u * 255 < images.float(), 1.0, -1.0)


def bound(model: Vae, x: Tensor, k: int, rows: int) -> Tensor:
    """The bound of each image, (N,)."""
    with torch.no_grad():
        return torch.cat([model.bound(part, {}, k) for part in x.split(rows)])


def train(model: Vae, x: Tensor, held: Tensor, args: argparse.Namespace) -> int:
    """AdamW with warm-up and warm-down by the clock, and a power-function average. Steps taken."""
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(
        weights, lr=args.lr, betas=(0.9, 0.99), weight_decay=args.decay, fused=True
    )
    average = [p.detach().clone() for p in weights]
    start, index, shown = time.perf_counter(), 0, 0.0
    while (spent := (time.perf_counter() - start) / (60 * args.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, (index + 1) / 100, 0.02 + (1 - spent) / 0.6)
        rows = torch.randint(len(x), (args.batch,))
        terms = dict(model.losses(x[rows], {}, Step(int(spent * 10**6), 10**6)))[""]
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights, 200.0)
        if norm.isfinite():
            optimizer.step()
        optimizer.zero_grad()
        index += 1
        torch._foreach_lerp_(average, [p.detach() for p in weights], 1 - (1 - 1 / index) ** 7.94)
        if spent - shown > 0.1:
            shown = spent
            fresh = -bound(model.eval(), held[:1000], 16, 500).mean().item()
            model.train()
            print(
                f"{spent:.0%} step {index} loss {loss.item():.2f} held-out {fresh:.2f}", flush=True
            )
    with torch.no_grad():
        for p, mean in zip(weights, average):
            p.copy_(mean)
    return index


def main() -> None:
    """Train, then print one JSON line with the bound, its standard error and what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--net", choices=["conv", "mlp"], default="conv")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--latent", type=int, default=32)
    parser.add_argument("--draws", type=int, default=1, help="latents per image in training")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.0)
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--test", type=int, default=10_000, help="test images that are judged")
    parser.add_argument("--valid", action="store_true", help="judge held-out training images")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    images = binarised(mnist("train"), 0)
    x, held = images[:55_000], images[55_000:]
    net = (
        partial(conv_coder, width=args.width, hidden=args.hidden)
        if args.net == "conv"
        else partial(mlp_coder, width=args.hidden, depth=2)
    )
    model = Vae(Real((1, 28, 28), levels=2), {}, net=net, latent=args.latent, draws=args.draws)
    steps = train(model, x, held, args)
    model.eval()
    start = time.perf_counter()
    judged = held if args.valid else binarised(mnist("t10k"), 1)
    nats = bound(model, judged[: args.test], args.k, 8)
    figures = {
        "bound_nats": round(-nats.mean().item(), 3),
        "standard_error": round(nats.std().item() / math.sqrt(len(nats)), 3),
        "bits_per_dim": round(-nats.mean().item() / 784 / math.log(2), 4),
        "k": args.k,
        "images": len(nats),
        "part": "held-out training images" if args.valid else "test",
        "binarisation": "seeded fixed draw (seed 0 train, 1 test)",
        "steps": steps,
        "judging_seconds": round(time.perf_counter() - start, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        **{name: value for name, value in vars(args).items() if name not in ("k", "test", "valid")},
    }
    print(json.dumps({"benchmark": "vae_bound", **figures, **machine()}))


if __name__ == "__main__":
    main()
