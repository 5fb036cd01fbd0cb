"""Generative adversarial networks: one game, five losses, three gradient penalties.

The default is the relativistic pairing loss with both zero-centred penalties (R3GAN; Huang et al.,
2024, arXiv:2501.05441, section 2). Presets: the articles' MLP GAN, DCGAN, LSGAN, WGAN-GP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.core import (
    Condition,
    Generative,
    Interval,
    Real,
    Rng,
    Space,
    Step,
    Terms,
    hide,
    like,
    normal,
    uniform,
)
from genloom.errors import BadInput
from genloom.nets.dcgan import dcgan_players
from genloom.nets.dense import Projection, mlp_players
from genloom.nets.diffaug import Augment, augment
from genloom.nets.r3gan import r3_players

Players = Callable[[Real, int, Mapping[str, Space]], tuple[nn.Module, nn.Module]]
Loss = Literal["rp", "ns", "hinge", "ls", "wgan"]
Penalty = Literal["r1r2", "r1", "gp", "none"]

# Name -> (loss of the discriminator, loss of the generator) of the logits (real, fake), (B,) each.
LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    # Jolicoeur-Martineau, 2018 (arXiv:1807.00734), section 3.3, pairing form
    "rp": (lambda r, f: F.softplus(f - r), lambda r, f: F.softplus(r - f)),
    # Goodfellow et al., 2014 (arXiv:1406.2661), section 3
    "ns": (lambda r, f: F.softplus(-r) + F.softplus(f), lambda r, f: F.softplus(-f)),
    # Lim and Ye, 2017 (arXiv:1705.02894)
    "hinge": (lambda r, f: F.relu(1 - r) + F.relu(1 + f), lambda r, f: -f),
    # Mao et al., 2016 (arXiv:1611.04076), Eq. 9
    "ls": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: (f - 1) ** 2 / 2),
    # Arjovsky et al., 2017 (arXiv:1701.07875), Eq. 2
    "wgan": (lambda r, f: f - r, lambda r, f: -f),
}


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Graphs made within this compute no gradient for the module's parameters."""
    trained = [p for p in module.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


def zero_centred(x: Tensor, logits: Tensor) -> Tensor:
    """Squared norm of the logit's gradient at each row, (B,): R1 on data, R2 on samples.

    Mescheder et al., 2018 (arXiv:1801.04406), Eq. 9, without the factor gamma / 2.
    """
    (grad,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return grad.square().flatten(1).sum(1)


@final
class Gan(Generative):
    """A generator that learns from a discriminator; Goodfellow et al., 2014 (arXiv:1406.2661).

    In a step where the generator plays, its samples serve both players: the discriminator sees them
    detached, and the generator's turn reuses their graph, for its weights have not changed since.

    Args:
        space: One datum; with levels it lies in [-1, 1].
        conditions: Labels and real vectors, for both players.
        net: Makes (generator, discriminator) from (space, latent, conditions); None is a small
            residual pair for a grid, an MLP pair otherwise.
        latent: Size of the generator's noise; None: as the datum's, at most 64. A plane of points
            is easier to cover from a plane of noise than from 64 dimensions.
        loss: "rp" relativistic pairs, "ns" non-saturating, "hinge", "ls" least squares, "wgan".
        penalty: "r1r2" on data and samples, "r1" on data, "gp" between them (Gulrajani et al.,
            2017, arXiv:1704.00028, Eq. 3), or "none".
        gamma: Weight of the penalty at the end of the run. None: 10 for "gp", else 1 for grids
            and 0.02 without axes.
        burn_in: Share of the run over which gamma of R1 and R2 falls from ten times its value,
            along a cosine (R3GAN, appendix D, in shares of the run).
        turns: Steps, each on new data, from one turn of the generator to the next.
        lazy: Steps from one penalty to the next, each with that many times the weight (Karras et
            al., 2019, arXiv:1912.04958, section 3.1): cheaper steps.
        augment: Of what the discriminator sees; for data of two axes.
        drop: Share of training rows whose conditions are hidden; above 0 it can sample without.
    """

    players = ("discriminator", "generator")
    averaged = ("generator",)
    recommended: Mapping[str, Any] = {
        "optimizer": "adamw",
        "lr": 2e-3,
        "beta1": 0.0,
        "beta2": 0.99,
        "batch": 64,
        "clip": None,
        "ema": 0.10,
    }

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: Players | None = None,
        latent: Annotated[int | None, Interval(ge=1)] = None,
        loss: Loss = "rp",
        penalty: Penalty = "r1r2",
        gamma: Annotated[float | None, Interval(ge=0)] = None,
        burn_in: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        turns: Annotated[int, Interval(ge=1)] = 1,
        lazy: Annotated[int, Interval(ge=1)] = 1,
        augment: Augment = "none",
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        axes = len(space.shape) - 1
        if augment != "none" and axes != 2:
            raise BadInput(
                f"augment = {augment!r} moves pictures; this datum is {space.shape}. Set 'none'."
            )
        latent = latent or min(64, math.prod(space.shape))
        net = net or self.usual_net(space)
        self.generator, self.discriminator = net(space, latent, conditions)
        self.latent, self.penalty, self.turns = latent, penalty, turns
        self.augment: Augment = augment
        self.burn_in, self.lazy, self.drop = burn_in, lazy, drop
        self.judge, self.please = LOSSES[loss]
        self.paired = loss == "rp"
        if self.paired:
            for part in self.discriminator.modules():
                if isinstance(part, Projection):
                    part.hold_offset()
        usual = 10.0 if penalty == "gp" else 1.0 if axes else 0.02
        self.gamma = usual if gamma is None else gamma
        self.gap: Tensor | None = None

    @staticmethod
    def usual_net(space: Real) -> Players:
        """A small residual pair for a grid, an MLP pair otherwise."""
        return r3_players if len(space.shape) > 1 else mlp_players

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """The discriminator's turn, and at every `turns`-th step the generator's."""
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        plays = (step.index + 1) % self.turns == 0
        z = normal(len(x), self.latent, device=x.device)
        with torch.set_grad_enabled(plays):
            fake = self.generator(z, cond)
        yield "discriminator", self._judged(x, fake.detach(), cond, step)
        if plays:
            yield "generator", self._pleased(x, fake, cond)

    def vitals(self) -> Mapping[str, Tensor]:
        """How far the discriminator tells data from samples, in logits."""
        return {} if self.gap is None else {"discriminator_gap": self.gap}

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        truncation: Annotated[float, Interval(ge=0, le=2)] = 1.0,
    ) -> Iterator[Tensor]:
        """One guess. Truncation scales the noise: below 1, more typical and less diverse."""
        yield self.generator(rng.normal(self.latent) * truncation, cond)

    def _logits(self, x: Tensor, cond: Condition) -> Tensor:
        return self.discriminator(augment(x, self.augment), cond)

    def _judged(self, x: Tensor, fake: Tensor, cond: Condition, step: Step) -> Terms:
        """The discriminator's terms; penalties are taken in float32, at the data as they are."""
        if self.penalty == "none" or step.index % self.lazy:
            return self._told_apart(self._logits(x, cond), self._logits(fake, cond))
        with torch.autocast(x.device.type, enabled=False):
            x, fake = (v.float() if v.element_size() < 4 else v for v in (x, fake))
            if self.penalty == "gp":
                terms = self._told_apart(self._logits(x, cond), self._logits(fake, cond))
                return {**terms, "gp": self.lazy * self.gamma * self._one_centred(x, fake, cond)}
            weight = self.lazy * self._gamma(step) / 2
            if self.penalty == "r1":
                x = x.detach().requires_grad_()
                logits = self._logits(x, cond)
                terms = self._told_apart(logits, self._logits(fake, cond))
                return {**terms, "r1": weight * zero_centred(x, logits).mean()}
            both = torch.cat([x, fake]).requires_grad_()  # one pass, one penalty: half the calls
            seen = torch.cat([augment(part, self.augment) for part in both.chunk(2)])
            logits = self.discriminator(seen, {k: torch.cat([v, v]) for k, v in cond.items()})
            r1, r2 = (weight * part.mean() for part in zero_centred(both, logits).chunk(2))
            return {**self._told_apart(*logits.chunk(2)), "r1": r1, "r2": r2}

    def _told_apart(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        self.gap = (real - fake).detach().mean()
        return {"discriminator": self.judge(real, fake).mean()}

    def _pleased(self, x: Tensor, fake: Tensor, cond: Condition) -> Terms:
        """The generator's term; the relativistic loss looks at the data too."""
        with frozen(self.discriminator):
            real_logits = self._logits(x, cond) if self.paired else None
            return {"generator": self.please(real_logits, self._logits(fake, cond)).mean()}

    def _one_centred(self, x: Tensor, fake: Tensor, cond: Condition) -> Tensor:
        share = like(uniform(len(x), device=x.device), x)
        between = (fake + share * (x - fake)).detach().requires_grad_()
        (grad,) = torch.autograd.grad(self._logits(between, cond).sum(), between, create_graph=True)
        return (grad.flatten(1).norm(dim=1) - 1).square().mean()

    def _gamma(self, step: Step) -> float:
        if not self.burn_in:
            return self.gamma
        way = min(step.fraction / self.burn_in, 1.0)
        return self.gamma * (1 + 9 * (1 + math.cos(math.pi * way)) / 2)


ADAM_2015: Mapping[str, Any] = {**Gan.recommended, "lr": 2e-4, "beta1": 0.5, "beta2": 0.999}


def _convolutional(space: Real, width: int, *, batchnorm: bool) -> Players:
    if len(space.shape) == 1:
        return partial(mlp_players, width=4 * width, norm="batch")
    return partial(dcgan_players, width=width, batchnorm=batchnorm)


def mlp_gan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 64,
    width: Annotated[int, Interval(ge=1)] = 256,
    depth: Annotated[int, Interval(ge=1)] = 3,
    norm: Literal["none", "batch", "rms"] = "batch",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """The first GAN of the articles: two MLPs, the non-saturating loss, Adam at 2e-4.

    Goodfellow et al., 2014 (arXiv:1406.2661), with the batch normalization of the usual tutorials.
    """
    net = partial(mlp_players, width=width, depth=depth, norm=norm)
    model = Gan(space, conditions, net=net, latent=latent, loss="ns", penalty="none", drop=drop)
    model.recommended = ADAM_2015
    return model


def dcgan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 100,
    width: Annotated[int, Interval(ge=1)] = 32,
    augment: Augment = "none",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """DCGAN: Radford et al., 2015 (arXiv:1511.06434), section 4; Adam at 2e-4, beta1 0.5."""
    net = _convolutional(space, width, batchnorm=True)
    model = Gan(
        space,
        conditions,
        net=net,
        latent=latent,
        loss="ns",
        penalty="none",
        augment=augment,
        drop=drop,
    )
    model.recommended = ADAM_2015
    return model


def lsgan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 100,
    width: Annotated[int, Interval(ge=1)] = 32,
    augment: Augment = "none",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """DCGAN's nets with the least-squares loss: Mao et al., 2016 (arXiv:1611.04076)."""
    net = _convolutional(space, width, batchnorm=True)
    model = Gan(
        space,
        conditions,
        net=net,
        latent=latent,
        loss="ls",
        penalty="none",
        augment=augment,
        drop=drop,
    )
    model.recommended = ADAM_2015
    return model


def wgan_gp(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 100,
    width: Annotated[int, Interval(ge=1)] = 32,
    turns: Annotated[int, Interval(ge=1)] = 5,
    gamma: Annotated[float, Interval(ge=0)] = 10.0,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """WGAN with a gradient penalty: Gulrajani et al., 2017 (arXiv:1704.00028), Algorithm 1.

    The critic has no batch normalization, for its penalty is per sample (section 4 there).
    """
    net = _convolutional(space, width, batchnorm=False)
    model = Gan(
        space,
        conditions,
        net=net,
        latent=latent,
        loss="wgan",
        penalty="gp",
        gamma=gamma,
        turns=turns,
        drop=drop,
    )
    model.recommended = {**Gan.recommended, "lr": 1e-4, "beta1": 0.0, "beta2": 0.9}
    return model
