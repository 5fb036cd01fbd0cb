"""A hierarchical VAE's training step against the usual loop: same nets, same draws, same updates.

No maintained package trains one beside ours (pythae's HVAE is the Hamiltonian VAE), so the other
side is the loop of the papers as plain PyTorch on our nets: up, then down with a draw from the
posterior at each stage, divergences by torch.distributions, binary cross-entropy, a clipped
gradient, Adam. Ours is the library's `Learner` step, with all that it does beside (moving average,
gradient norms, checks). First, six steps of both in float64 must give the same weights.

    python -m benchmarks.hvae_step
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from benchmarks.harness import arguments, chosen, contest, report
from genloom.core import Real
from genloom.learner import Learner, Micro, reseed
from genloom.models.hvae import Hvae
from genloom.nets.layout import channels_last, to_channels_last
from genloom.options import TrainOptions

BATCH, CLIP = 64, 200.0
SPACE = Real((1, 28, 28), levels=2)
Loop = Callable[[int, Tensor], None]
SIDES = ("usual", "usual, channels last", "genloom")


def usual(model: Hvae, options: TrainOptions) -> Loop:
    """The loop of Sonderby et al. (arXiv:1602.02282) in Child's form (arXiv:2011.10650)."""
    net = model.net
    betas = (options.beta1, options.beta2)
    adam = torch.optim.Adam(model.parameters(), lr=options.lr, betas=betas)

    def step(index: int, x: Tensor) -> None:
        reseed(options.seed, index, "losses")
        adam.zero_grad()
        features, h, rate = net.up(x), net.start({}, len(x)), 0.0
        for i in range(len(net.shapes)):
            stage = net.stage(i)
            prior = stage.prior(h)
            mean, log_std = stage.posterior(h, features[i], prior)
            posterior = Normal(mean, log_std.exp())
            rate += kl_divergence(posterior, Normal(prior[0], prior[1].exp())).sum()
            h = net.widen(stage.absorb(h, posterior.rsample()), i)
        distortion = F.binary_cross_entropy_with_logits(h, (x + 1) / 2, reduction="sum")
        ((distortion + rate) / len(x)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        adam.step()

    return step


def ours(model: Hvae, options: TrainOptions) -> Loop:
    """The library's step, with channels last as in its trainer."""
    to_channels_last(model)
    learner = Learner(model, options, total=10**6)

    def step(index: int, x: Tensor) -> None:
        micro = Micro(channels_last(x), {}, 0, len(x), range(len(x)))
        learner.step(index, [micro])

    return step


def setting(seed: int) -> TrainOptions:
    """The options of both loops: no warm-up, no warm-down."""
    kept = {**Hvae.recommended, "schedule": "constant", "warmup": 0.0, "clip": CLIP, "seed": seed}
    return TrainOptions(steps=1, **kept)


def bits(n: int) -> Tensor:
    """Binary pictures, (n, 1, 28, 28) of -1 and 1."""
    return (torch.rand(n, *SPACE.shape) < 0.2).to(torch.get_default_dtype()) * 2 - 1


def difference(seed: int) -> float:
    """Largest difference of any weight after six steps of both sides, in float64."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    model = Hvae(SPACE, {})
    twin = copy.deepcopy(model)
    sides = usual(model, setting(seed)), ours(twin, setting(seed))
    for index in range(6):
        x = bits(8)
        for step in sides:
            step(index, x)
    torch.set_default_dtype(torch.float32)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


def side(kind: str, seed: int) -> Callable[[], None]:
    """A call that takes one step on fresh pictures."""
    torch.manual_seed(seed)
    model = Hvae(SPACE, {})
    last = kind == "usual, channels last"
    if last:
        to_channels_last(model)
    loop = ours(model, setting(seed)) if kind == "genloom" else usual(model, setting(seed))
    turn = itertools.count()

    def step() -> None:
        x = bits(BATCH)
        loop(next(turn), channels_last(x) if last else x)

    return step


def main() -> None:
    """Compare the weights, then race."""
    args = arguments(__doc__)
    gap = difference(args.seed)
    if gap > 1e-6:
        raise SystemExit(f"after six steps the weights differ by {gap:.1e}")
    parameters = sum(p.numel() for p in Hvae(SPACE, {}).parameters())
    result = contest(
        {kind: partial(side, kind, args.seed) for kind in SIDES},
        **chosen(args),
        items=BATCH,
        baseline="usual",
        unit="images",
        benchmark="hvae_step",
        batch=BATCH,
        parameters=parameters,
        weights_differ_by=gap,
    )
    report(f"Hierarchical VAE, batch {BATCH}, {parameters:,} parameters", result, args.json)


if __name__ == "__main__":
    main()
