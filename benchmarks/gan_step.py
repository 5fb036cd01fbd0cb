"""A GAN's training step against the usual tutorial loop: same nets, same draws, same updates.

The tutorial loops are those of the PyTorch DCGAN example (separate real and fake passes, Adam) and
of the common WGAN-GP script, whose critic loss is sent back through the generator. Our side is
the library's `Learner` step with all that it does beside (moving average, gradient norms, checks).
First, six steps of both in float64 must give the same weights.

    python -m benchmarks.gan_step
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import arguments, contest, report
from genloom.core import Real
from genloom.learner import Learner, Micro, reseed
from genloom.models.gan import Gan
from genloom.models.gan_presets import dcgan, wgan_gp
from genloom.nets.layout import channels_last, to_channels_last
from genloom.options import TrainOptions

BATCH = 64
SPACE = Real((1, 28, 28), levels=256)
Loop = Callable[[int, Tensor], None]


def adam(net: nn.Module, options: TrainOptions) -> torch.optim.Adam:
    """What a tutorial writes."""
    return torch.optim.Adam(net.parameters(), lr=options.lr, betas=(options.beta1, options.beta2))


def dcgan_tutorial(model: Gan, options: TrainOptions) -> Loop:
    """The loop of the PyTorch DCGAN example."""
    generator, discriminator = model.generator, model.discriminator
    adam_g, adam_d = adam(generator, options), adam(discriminator, options)

    def step(index: int, x: Tensor) -> None:
        reseed(options.seed, index, "losses")
        discriminator.zero_grad()
        ones, zeros = torch.ones(len(x)), torch.zeros(len(x))
        F.binary_cross_entropy_with_logits(discriminator(x, {}), ones).backward()
        fake = generator(torch.randn(len(x), model.latent), {})
        logits = discriminator(fake.detach(), {})
        F.binary_cross_entropy_with_logits(logits, zeros).backward()
        adam_d.step()
        generator.zero_grad()
        F.binary_cross_entropy_with_logits(discriminator(fake, {}), ones).backward()
        adam_g.step()

    return step


def wgan_tutorial(model: Gan, options: TrainOptions) -> Loop:
    """The loop of the common WGAN-GP script."""
    generator, critic = model.generator, model.discriminator
    adam_g, adam_d = adam(generator, options), adam(critic, options)

    def step(index: int, x: Tensor) -> None:
        reseed(options.seed, index, "losses")
        adam_d.zero_grad()
        z = torch.randn(len(x), model.latent)
        fake = generator(z, {})
        real_logits, fake_logits = critic(x, {}), critic(fake, {})
        share = torch.rand(len(x)).view(-1, 1, 1, 1)
        between = (share * x + (1 - share) * fake).detach().requires_grad_(True)
        logits = critic(between, {})
        (grad,) = torch.autograd.grad(
            logits, between, torch.ones_like(logits), create_graph=True, retain_graph=True
        )
        penalty = ((grad.view(len(x), -1).norm(2, dim=1) - 1) ** 2).mean()
        (fake_logits.mean() - real_logits.mean() + model.gamma * penalty).backward()
        adam_d.step()
        if (index + 1) % model.turns == 0:
            adam_g.zero_grad()
            (-critic(generator(z, {}), {}).mean()).backward()
            adam_g.step()

    return step


def ours(model: Gan, options: TrainOptions, *, last: bool) -> Loop:
    """The library's step, with channels last as in its trainer, or first."""
    if last:
        to_channels_last(model)
    learner = Learner(model, options, total=10**6)

    def step(index: int, x: Tensor) -> None:
        if last:
            x = channels_last(x)
        learner.step(index, [Micro(x, {}, 0, len(x), range(len(x)))])

    return step


def setting(model: Gan, seed: int) -> TrainOptions:
    """The preset's options without what a tutorial has not: warm-up, warm-down."""
    kept = {**model.recommended, "schedule": "constant", "warmup": 0.0, "seed": seed}
    return TrainOptions(steps=1, **kept)


def difference(make: Callable[..., Gan], tutorial: Callable, seed: int) -> float:
    """Largest difference of any weight after six steps of both sides, in float64."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    model = make(SPACE, {}, width=64)
    twin, options = copy.deepcopy(model), setting(model, seed)
    sides = tutorial(model, options), ours(twin, options, last=True)
    for index in range(6):
        x = torch.rand(8, 1, 28, 28) * 2 - 1
        for step in sides:
            step(index, x)
    torch.set_default_dtype(torch.float32)
    pairs = zip(model.parameters(), twin.parameters())
    return max((a - b).abs().max().item() for a, b in pairs)


GAMES = {"dcgan": (dcgan, dcgan_tutorial, 4), "wgan_gp": (wgan_gp, wgan_tutorial, 5)}


def repeated(game: str, side: str, seed: int) -> Callable[[], None]:
    """Some steps of one side of a game, from the same weights on the same data."""
    make, tutorial, steps = GAMES[game]
    torch.manual_seed(seed)
    model = make(SPACE, {}, width=64)
    options, x = setting(model, seed), torch.rand(BATCH, 1, 28, 28) * 2 - 1
    if side == "tutorial":
        loop = tutorial(model, options)
    else:
        loop = ours(model, options, last=side == "genloom")

    def once() -> None:
        for index in range(steps):
            loop(index, x)

    return once


def main() -> None:
    """Check, then race."""
    args = arguments(__doc__ or "")
    for name, (make, tutorial, steps) in GAMES.items():
        gap = difference(make, tutorial, args.seed)
        if gap > 1e-6:
            raise SystemExit(f"{name}: the sides differ by {gap:.2g} after six steps")
        sides = ("tutorial", "genloom", "genloom, channels first")
        result = contest(
            {side: partial(repeated, name, side, args.seed) for side in sides},
            apart=args.apart,
            rounds=args.rounds,
            items=BATCH * steps,
            baseline="tutorial",
            unit="real images",
            clock=args.clock,
            benchmark=f"gan_step/{name}",
            seed=args.seed,
            batch=BATCH,
            parameters=sum(p.numel() for p in make(SPACE, {}, width=64).parameters()),
            weights_differ_by=gap,
        )
        report(
            f"{name}, 28x28, batch {BATCH}; weights after six steps differ by {gap:.1e}",
            result,
            args.json,
        )


if __name__ == "__main__":
    main()
