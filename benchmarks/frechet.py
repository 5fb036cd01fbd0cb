"""The Frechet distance against scipy's matrix root and torchmetrics' eigenvalues.

    python -m benchmarks.frechet --rounds 3 --json results.jsonl

Two cases: 10,000 samples of 2,048 features, where the moments are given and the root is timed; and
1,000 samples, where each side starts from what it needs (the peers from covariances, genloom from
the features). Targets: 8 times scipy for the root, 50 times with fewer samples than dimensions, the
same value to 1e-6. One core; a round takes about 70 seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import parser, race, report
from genloom.metrics.frechet import Moments, distance, distance_of

TARGETS = {"many": 8.0, "few": 50.0}


def features(n: int, dims: int, seed: int) -> Tensor:
    """Correlated, positive, as those of a network after its last ReLU: (n, dims) float64."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(64, dims, generator=torch.Generator().manual_seed(99)) / 8
    x = torch.randn(n, 64, generator=generator) @ mix + torch.randn(n, dims, generator=generator)
    return x.relu().double()


def by_scipy(one: Moments, two: Moments) -> float:
    """The formula of pytorch-fid and clean-fid."""
    from scipy import linalg

    s1, s2 = one.covariance.numpy(), two.covariance.numpy()
    root = linalg.sqrtm(s1 @ s2).real
    gap = ((one.mean - two.mean) ** 2).sum()
    return float(gap) + float(np.trace(s1) + np.trace(s2) - 2 * np.trace(root))


def by_eigenvalues(one: Moments, two: Moments) -> float:
    """The formula of torchmetrics."""
    s1, s2 = one.covariance, two.covariance
    root = torch.linalg.eigvals(s1 @ s2).sqrt().real.sum()
    return float((one.mean - two.mean).square().sum() + s1.trace() + s2.trace() - 2 * root)


def run(case: str, n: int, arguments: argparse.Namespace) -> float:
    """Race one case; gives the ratio to scipy."""
    x, y = (features(n, arguments.dims, arguments.seed + i) for i in range(2))
    one, two = Moments(arguments.dims).update(x), Moments(arguments.dims).update(y)
    values: dict[str, float] = {}

    def keep(side: str, measure: Callable[[], float]) -> Callable[[], None]:
        def call() -> None:
            values[side] = measure()

        return call

    ours = (lambda: distance_of(one, two)) if case == "many" else (lambda: distance(x, y))
    result = race(
        {
            "scipy sqrtm": keep("scipy sqrtm", lambda: by_scipy(one, two)),
            "torchmetrics eigvals": keep("torchmetrics eigvals", lambda: by_eigenvalues(one, two)),
            "genloom": keep("genloom", ours),
        },
        rounds=arguments.rounds,
        baseline="scipy sqrtm",
        unit="distances",
        clock=arguments.clock,
        warmup=0,
        n=n,
        dims=arguments.dims,
        seed=arguments.seed,
        values=values,
    )
    report(f"Frechet distance, {n} samples of {arguments.dims} features", result, arguments.json)
    apart = abs(values["genloom"] / values["torchmetrics eigvals"] - 1)
    ratio = result.ratio("genloom")
    print(f"\n{values}\nrelative difference from eigvals {apart:.1e} (target 1e-6)")
    print(f"{ratio:.1f} times scipy (target {TARGETS[case]:.0f})")
    return ratio


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(rounds=3)
    options.add_argument("--dims", type=int, default=2048)
    options.add_argument("--case", choices=sorted(TARGETS), help="one case alone")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    for case, n in (("many", 10_000), ("few", 1_000)):
        if arguments.case in (None, case):
            run(case, n, arguments)


if __name__ == "__main__":
    main()
