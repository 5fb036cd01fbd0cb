"""A GAN's training step against the usual loop: same nets, same draws, same updates.

The usual loops are those of the PyTorch DCGAN example (separate real and fake passes, Adam), of the
common WGAN-GP script, whose critic loss is sent back through the generator, and of the published
SNGAN and BigGAN. No maintained package trains the latter two, so their loop is written here from
the papers: samples for the discriminator without a graph and anew for the generator, hinge losses,
a round of power iteration for each update, and BigGAN's orthogonal term as a gradient by hand.
Our side is the library's `Learner` step with all that it does beside (moving average, gradient
norms, checks). First, six steps of both in float64 must give the same weights.

    python -m benchmarks.gan_step
    python -m benchmarks.gan_step --game sngan biggan
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import chosen, contest, parser, report
from genloom.core import Condition, Real, Space, Tokens
from genloom.learner import Learner, Micro, reseed
from genloom.models.gan import Gan
from genloom.models.gan_presets import biggan, dcgan, sngan, wgan_gp
from genloom.nets.layout import channels_last, to_channels_last
from genloom.nets.spectral import iterate
from genloom.options import TrainOptions

BATCH = 64
GREY, COLOUR = Real((1, 28, 28), levels=256), Real((3, 32, 32), levels=256)
Loop = Callable[[int, Tensor, Condition], None]


def adam(net: nn.Module, options: TrainOptions) -> torch.optim.Adam:
    """What a tutorial writes."""
    return torch.optim.Adam(net.parameters(), lr=options.lr, betas=(options.beta1, options.beta2))


def dcgan_tutorial(model: Gan, options: TrainOptions) -> Loop:
    """The loop of the PyTorch DCGAN example."""
    generator, discriminator = model.generator, model.discriminator
    adam_g, adam_d = adam(generator, options), adam(discriminator, options)

    def step(index: int, x: Tensor, cond: Condition) -> None:
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

    def step(index: int, x: Tensor, cond: Condition) -> None:
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


def hinge_loop(model: Gan, options: TrainOptions) -> Loop:
    """The loop of the published SNGAN (arXiv:1802.05957) and BigGAN (arXiv:1809.11096)."""
    generator, discriminator = model.generator, model.discriminator
    adam_g, adam_d = adam(generator, options), adam(discriminator, options)

    def step(index: int, x: Tensor, cond: Condition) -> None:
        reseed(options.seed, index, "losses")
        z = torch.randn(len(x), model.latent)
        adam_d.zero_grad()
        with torch.no_grad():
            fake = generator(z, cond)
        real = F.relu(1 - discriminator(x, cond)).mean()
        (real + F.relu(1 + discriminator(fake, cond)).mean()).backward()
        adam_d.step()
        iterate(discriminator)
        if (index + 1) % model.turns:
            return
        adam_g.zero_grad()
        discriminator.requires_grad_(False)
        (-discriminator(generator(z, cond), cond).mean()).backward()
        discriminator.requires_grad_(True)
        if model.orthogonal:
            apart(generator, model.orthogonal)
        adam_g.step()
        iterate(generator)

    return step


def apart(net: nn.Module, weight: float) -> None:
    """Add the gradient of BigGAN's Eq. 3, as its published code does: no graph, layer by layer."""
    for part in net.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            made: Any = part.parametrizations
            p = made.weight.original
            with torch.no_grad():
                rows = p.flatten(1)
                gram = rows @ rows.T
                p.grad += (4 * weight * (gram - gram.diag().diag()) @ rows).view_as(p)


def ours(model: Gan, options: TrainOptions, *, last: bool) -> Loop:
    """The library's step, with channels last as in its trainer, or first."""
    if last:
        to_channels_last(model)
    learner = Learner(model, options, total=10**6)

    def step(index: int, x: Tensor, cond: Condition) -> None:
        if last:
            x = channels_last(x)
        learner.step(index, [Micro(x, cond, 0, len(x), range(len(x)))])

    return step


def setting(model: Gan, seed: int) -> TrainOptions:
    """The preset's options without what a tutorial has not: warm-up, warm-down."""
    kept = {**model.recommended, "schedule": "constant", "warmup": 0.0, "seed": seed}
    return TrainOptions(steps=1, **kept)


@dataclass(frozen=True)
class Game:
    """What is raced.

    Args:
        make: Of the preset, from space and conditions.
        usual: The loop beside ours.
        steps: Of one repetition.
        space: Of the data.
        conditions: Of both players.
    """

    make: Callable[..., Gan]
    usual: Callable[[Gan, TrainOptions], Loop]
    steps: int
    space: Real
    conditions: dict[str, Space]

    def model(self) -> Gan:
        """With fresh weights."""
        return self.make(self.space, self.conditions)

    def batch(self, n: int) -> tuple[Tensor, Condition]:
        """Noise as data, and labels where the game has them."""
        x = torch.rand(n, *self.space.shape) * 2 - 1
        labels = {"label": torch.arange(n) % 10}
        return x, {name: labels[name] for name in self.conditions}


GAMES = {
    "dcgan": Game(partial(dcgan, width=64), dcgan_tutorial, 4, GREY, {}),
    "wgan_gp": Game(partial(wgan_gp, width=64), wgan_tutorial, 5, GREY, {}),
    "sngan": Game(partial(sngan, width=16), hinge_loop, 5, COLOUR, {}),
    "biggan": Game(
        partial(biggan, width=16, drop=0.0), hinge_loop, 4, COLOUR, {"label": Tokens((), 10)}
    ),
}


def difference(game: Game, seed: int) -> float:
    """Largest difference of any weight after six steps of both sides, in float64."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    model = game.model()
    twin, options = copy.deepcopy(model), setting(model, seed)
    sides = game.usual(model, options), ours(twin, options, last=True)
    for index in range(6):
        x, cond = game.batch(8)
        for step in sides:
            step(index, x, cond)
    torch.set_default_dtype(torch.float32)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def repeated(name: str, side: str, seed: int) -> Callable[[], None]:
    """Some steps of one side of a game, from the same weights on the same data."""
    game = GAMES[name]
    torch.manual_seed(seed)
    model = game.model()
    options, (x, cond) = setting(model, seed), game.batch(BATCH)
    if side == "usual":
        loop = game.usual(model, options)
    else:
        loop = ours(model, options, last=side == "genloom")

    def once() -> None:
        for index in range(game.steps):
            loop(index, x, cond)

    return once


def main(argv: Sequence[str] | None = None) -> None:
    """Check, then race."""
    options = parser(__doc__)
    options.add_argument("--game", nargs="+", choices=list(GAMES), default=list(GAMES))
    args = options.parse_args(argv)
    torch.set_num_threads(args.threads)
    for name in args.game:
        game = GAMES[name]
        gap = difference(game, args.seed)
        if gap > 1e-6:
            raise SystemExit(f"{name}: the sides differ by {gap:.2g} after six steps")
        sides = ("usual", "genloom", "genloom, channels first")
        result = contest(
            {side: partial(repeated, name, side, args.seed) for side in sides},
            **chosen(args),
            items=BATCH * game.steps,
            baseline="usual",
            unit="real images",
            benchmark=f"gan_step/{name}",
            batch=BATCH,
            parameters=sum(p.numel() for p in game.model().parameters()),
            weights_differ_by=gap,
        )
        size = "x".join(map(str, game.space.shape))
        title = f"{name}, {size}, batch {BATCH}; weights after six steps differ by {gap:.1e}"
        report(title, result, args.json)


if __name__ == "__main__":
    main()
