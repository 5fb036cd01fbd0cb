"""A normalizing flow's training step and sampling beside normflows: equal layers and parameters.

Points: couplings with a bounded log-scale between learned matrices and actnorms; the peer has the
layers of its own package for each of these (AffineCouplingBlock, InvertibleAffine in LU form,
ActNorm), with nets of equal widths. A call of "step" is ten updates by Adam, of "sample" ten
batches through the library's `sample`, with its stream of random numbers for each sample, and of
"decode" ten batches of the bare way back from noise that one call draws, as the peer does.

    python -m benchmarks.glow_step
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.harness import arguments, contest, report
from genloom.core import Real
from genloom.models.glow import Glow
from genloom.nets.coupling import CouplingNet
from genloom.sampling import sample

BATCH, DIMS, STEPS, WIDTH, CALLS, RATE = 256, 16, 8, 128, 10, 1e-3
Work = Literal["step", "sample", "decode"]


def data(seed: int) -> Tensor:
    """Correlated points, (BATCH, DIMS)."""
    torch.manual_seed(seed)
    return torch.randn(BATCH, DIMS) @ torch.randn(DIMS, DIMS)


def updates(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Some updates by Adam."""
    adam = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)

    def run() -> None:
        for _ in range(CALLS):
            loss().backward()
            adam.step()
            adam.zero_grad()

    return run


def ours() -> Glow:
    """Our flow."""
    return Glow(Real((DIMS,)), {}, net=partial(CouplingNet, width=WIDTH), steps=STEPS)


def theirs() -> Any:
    """The flow of normflows."""
    import normflows

    layers: list[Any] = []
    for _ in range(STEPS):
        net = normflows.nets.MLP([DIMS // 2, WIDTH, WIDTH, DIMS], init_zeros=True)
        layers += [
            normflows.flows.AffineCouplingBlock(net, scale_map="sigmoid"),
            normflows.flows.InvertibleAffine(DIMS, use_lu=True),
            normflows.flows.ActNorm(DIMS),
        ]
    base = normflows.distributions.DiagGaussian(DIMS, trainable=False)
    return normflows.NormalizingFlow(base, layers)


def genloom(work: Work, seed: int) -> Callable[[], Any]:
    """Our side."""
    x, model = data(seed), ours()
    model.prepare(x, {})
    if work == "step":
        return updates(model, lambda: model.loss(x, {})["nll"])
    if work == "sample":
        return lambda: sample(model, CALLS * BATCH, batch=BATCH)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(CALLS):
                model.decode(torch.randn(BATCH, DIMS), {})

    return run


def peer(work: Work, seed: int) -> Callable[[], Any]:
    """The side of normflows; its first pass starts its actnorms."""
    x, model = data(seed), theirs()
    model.forward_kld(x)
    if work == "step":
        return updates(model, lambda: model.forward_kld(x))

    def run() -> None:
        with torch.no_grad():
            for _ in range(CALLS):
                model.sample(BATCH)

    return run


def main() -> None:
    """Race all works."""
    args = arguments(__doc__ or "")
    counts = [sum(p.numel() for p in model.parameters()) for model in (ours(), theirs())]
    works: tuple[Work, ...] = ("step", "sample", "decode")
    for work in works:
        result = contest(
            {
                "normflows": partial(peer, work, args.seed),
                "genloom": partial(genloom, work, args.seed),
            },
            apart=args.apart,
            rounds=args.rounds,
            items=CALLS * BATCH,
            baseline="normflows",
            unit="points",
            clock=args.clock,
            benchmark=f"glow_step/{work}",
            seed=args.seed,
            batch=BATCH,
            parameters=dict(zip(("genloom", "normflows"), counts)),
            normflows=version("normflows"),
        )
        report(f"Flow of {DIMS} dimensions, {work}, batch {BATCH}, {counts}", result, args.json)


if __name__ == "__main__":
    main()
