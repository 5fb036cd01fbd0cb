"""25 Gaussians: the vanilla GAN loses modes, the R3GAN loss with the same nets and rate finds them.

A 5 x 5 grid of Gaussians (spacing 2, deviation 0.05; Srivastava et al., 2017, arXiv:1705.07761,
section 4.1), scaled to unit variance. A sample is of high quality within three deviations of a
mode; a mode counts as covered with at least a fifth of its share of all samples (theirs is looser:
one sample, which is printed as `touched`).

    python benchmarks/gaussians25.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial

import torch
from torch import Tensor

from genloom.core import Real, Step
from genloom.models.gan import Gan
from genloom.nets.dense import mlp_players
from genloom.sampling import sample

SPREAD = 0.05


SCALE = 8**0.5  # deviation of the grid along each axis: spacing 2, five places
SIDES = {
    "vanilla": {"loss": "ns", "penalty": "none"},
    "r3gan": {"loss": "rp", "penalty": "r1r2"},
}


def modes() -> Tensor:
    """(25, 2), in units of the data's deviation."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return torch.cartesian_prod(line, line) / SCALE


def draw(n: int, random: torch.Generator) -> Tensor:
    """Data, (n, 2)."""
    which = torch.randint(25, (n,), generator=random)
    return modes()[which] + SPREAD / SCALE * torch.randn(n, 2, generator=random)


def train(options: dict, args: argparse.Namespace, seed: int) -> tuple[Gan, float]:
    """A plain loop: constant rate, power-function average of the generator. Seconds beside it."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    net = partial(mlp_players, width=args.width, depth=3, norm=args.norm)
    model = Gan(Real((2,)), {}, net=net, latent=args.latent, gamma=args.gamma, **options)
    if options["penalty"] == "none":
        model.gamma = 0.0
    optimizers = {
        name: torch.optim.Adam(
            model.get_submodule(name).parameters(), lr=args.lr, betas=(args.beta1, 0.99), fused=True
        )
        for name in model.players
    }
    average = [p.detach().clone() for p in model.generator.parameters()]
    start = time.perf_counter()
    for index in range(args.steps):
        for group in (g for o in optimizers.values() for g in o.param_groups):
            group["lr"] = args.lr * min(1.0, 2.5 * (1 - index / args.steps))
        for player, terms in model.losses(draw(args.batch, random), {}, Step(index, args.steps)):
            weights = list(model.get_submodule(player).parameters())
            torch.stack(list(terms.values())).sum().backward(inputs=weights)
            optimizers[player].step()
            optimizers[player].zero_grad()
        now = [p.detach() for p in model.generator.parameters()]
        torch._foreach_lerp_(average, now, 1 - (1 - 1 / (index + 1)) ** 7.94)
    with torch.no_grad():
        for p, mean in zip(model.generator.parameters(), average):
            p.copy_(mean)
    return model, time.perf_counter() - start


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


def main() -> None:
    """Train both sides for each seed; one JSON line each, then a line that sums up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--latent", type=int, default=2)
    parser.add_argument("--norm", default="none")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--beta1", type=float, default=0.0)
    parser.add_argument("--gamma", type=float, default=None)
    parser.add_argument("--samples", type=int, default=10_000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for side in args.sides:
        found = []
        for seed in args.seeds:
            model, seconds = train(SIDES[side], args, seed)
            figures = judge(sample(model, args.samples, seed=10**6, batch=10_000))
            found.append(figures["modes"])
            print(json.dumps({"side": side, "seed": seed, **figures, "seconds": round(seconds, 1)}))
        print(f"{side}: modes of 25 by seed {found}")


if __name__ == "__main__":
    main()
