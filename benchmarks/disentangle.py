"""Does a heavier rate make numbers of a code stand for single causes? MIG, SAP and DCI over seeds.

Every picture of `data.factors` (3 shapes, 4 sizes, 8 turns, 8 x 8 places), 32x32, or 16x16 by
averaging, serves as training and as test data, as is usual for these measures. The distortion is a
sum over pixels, so a quarter of the pixels is like four times the beta (Higgins et al., 2017,
appendix A.2): at 16x16 the plain VAE is most of the way there, and less is gained.
Each pair of a VAE and a beta-VAE has the same seed, net, likelihood (Bernoulli, on bits drawn from
the grey values) and number of steps; the interval is that of Student's t over the seeds, and "gain"
is of the paired differences.

    python -m benchmarks.disentangle
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import machine
from genloom.core import Real
from genloom.data import factors
from genloom.learner import Learner, Micro
from genloom.metrics.disentangle import dci, mig, sap
from genloom.models.vae import Vae
from genloom.nets.conv import conv_coder
from genloom.nets.dense import mlp_coder
from genloom.nets.layout import channels_last, to_channels_last
from genloom.recipe import merged

NETS: dict[str, Any] = {
    "mlp": partial(mlp_coder, width=256, depth=2, activation="relu"),
    "conv": partial(conv_coder, width=16),
}
T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


def trained(x: Tensor, beta: float, seed: int, args: argparse.Namespace) -> Vae:
    """A run of the library's own training step; the averaged model."""
    torch.manual_seed(seed)
    space = Real((1, args.size, args.size), levels=256)
    model = Vae(
        space,
        {},
        net=NETS[args.net],
        latent=args.latent,
        likelihood="bernoulli",
        binarize="dynamic",
        beta=beta,
        anneal=args.anneal,
    )
    to_channels_last(model)
    given = {"steps": args.steps, "batch": args.batch, "lr": args.lr, "seed": seed}
    learner = Learner(model, merged(model.recommended, given), args.steps)
    stream = torch.Generator().manual_seed(seed)
    for index in range(args.steps):
        rows = torch.randint(len(x), (args.batch,), generator=stream)
        batch = channels_last(x[rows])
        learner.step(index, [Micro(batch, {}, 0, args.batch, range(args.batch))])
    found = learner.sampler()
    assert isinstance(found, Vae)
    return found


@torch.no_grad()
def judged(model: Vae, x: Tensor, truth: Tensor) -> dict[str, float]:
    """The scores of the posteriors' means, and the rate."""
    posteriors = [model.posterior(part, {}) for part in x.split(512)]
    codes, log_std = (torch.cat(part) for part in zip(*posteriors, strict=True))
    rate = ((codes.square() + (2 * log_std).exp() - 1) / 2 - log_std).sum(1).mean()
    forest = dci(codes, truth)
    gaps = mig(codes, truth)
    return {
        "mig": float(gaps.mean()),
        "sap": float(sap(codes, truth).mean()),
        "dci_disentanglement": forest.disentanglement,
        "dci_completeness": forest.completeness,
        "dci_informativeness": forest.informativeness,
        "rate": float(rate),
        **{f"mig_{name}": float(gap) for name, gap in zip(factors.COUNTS, gaps, strict=True)},
    }


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and its 95 % interval by Student's t."""
    half = T95[len(values)] * stdev(values) / math.sqrt(len(values))
    return mean(values), mean(values) - half, mean(values) + half


def main() -> None:
    """Train both sides for every seed, then print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, choices=sorted(T95))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--beta", type=float, default=8.0)
    parser.add_argument("--anneal", type=float, default=0.0)
    parser.add_argument("--size", type=int, choices=[16, 32], default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--net", choices=sorted(NETS), default="mlp")
    parser.add_argument("--latent", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="append the JSON line to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images, truth = (torch.from_numpy(part) for part in factors.draw())
    x = F.avg_pool2d(images.float(), factors.SIZE // args.size) / 127.5 - 1
    began = time.perf_counter()
    sides: dict[str, list[dict[str, float]]] = {"vae": [], "beta_vae": []}
    for seed in range(args.seeds):
        for side, beta in (("vae", 1.0), ("beta_vae", args.beta)):
            sides[side].append(judged(trained(x, beta, seed, args), x, truth))
            scores = {k: round(v, 3) for k, v in sides[side][-1].items()}
            print(f"seed {seed} {side} {json.dumps(scores)}", flush=True)
    for key in sides["vae"][0]:
        pairs = {side: [found[key] for found in runs] for side, runs in sides.items()}
        pairs["gain"] = [b - a for a, b in zip(pairs["vae"], pairs["beta_vae"], strict=True)]
        spans = [(side, *interval(values)) for side, values in pairs.items()]
        told = "  ".join(f"{s} {v:.3f} [{a:.3f}, {b:.3f}]" for s, v, a, b in spans)
        print(f"{key}: {told}")
    facts = {
        "benchmark": "disentangle",
        **{k: v for k, v in vars(args).items() if k != "json"},
        "n": len(x),
        "seconds": round(time.perf_counter() - began),
        "sides": sides,
        **machine(),
    }
    print(json.dumps(facts), flush=True)
    if args.json is not None:
        with args.json.open("a") as file:
            file.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
