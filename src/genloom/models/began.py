"""BEGAN: an autoencoder as discriminator, held in balance with its generator.

Berthelot, Schumm and Metz, 2017 (arXiv:1703.10717), section 3.3: with L(v) = |v - A(v)|, the
autoencoder A lowers L(x) - k L(G(z)), the generator lowers L(G(z)), and k moves so that
L(G(z)) = gamma L(x).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, final

import torch
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
    uniform,
)
from genloom.models.adversarial import Tally, frozen
from genloom.nets.conv import conv_coder
from genloom.nets.dense import mlp_coder

Coder = Callable[[Real, int, int, Mapping[str, Space]], tuple[nn.Module, nn.Module]]


@final
class Autoencoder(nn.Module):
    """A datum -> the datum again, through a code; the first half of the encoder's output."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, *shape) -> the same."""
        code, _ = self.encoder(x, cond).chunk(2, 1)
        return self.decoder(code, cond)


@final
class Began(Generative):
    """A generator in equilibrium with an autoencoder.

    Deviations: conditions, which both nets see; strided convolutions of `conv_coder` where the
    paper resizes; the same samples serve both players; a `rate` ten times the paper's, whose runs
    are as much longer.

    Args:
        space: One datum.
        conditions: Labels and real vectors, for both players.
        net: Makes (encoder, decoder) from (space, latent, channel factor, conditions); the
            generator is one more such decoder. None: convolutions for a grid, else MLPs.
        latent: Size of the noise and of the code.
        gamma: Diversity ratio in [0, 1]: lower is sharper and less diverse.
        rate: Of k (lambda_k there).
        drop: Share of training rows whose conditions are hidden; above 0 it can sample without.
    """

    players = ("discriminator", "generator")
    averaged = ("generator",)
    recommended: Mapping[str, Any] = {
        "optimizer": "adamw",
        "lr": 1e-3,
        "beta1": 0.5,
        "beta2": 0.999,
        "batch": 64,
        "clip": None,
        "ema": 0.10,
    }
    k: Tensor
    measure: Tensor

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: Coder | None = None,
        latent: Annotated[int | None, Interval(ge=1)] = None,
        gamma: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        rate: Annotated[float, Interval(ge=0)] = 0.01,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        latent = latent or min(64, math.prod(space.shape))
        net = net or self.usual_net(space)
        self.discriminator = Autoencoder(*net(space, latent, 1, conditions))
        _, self.generator = net(space, latent, 1, conditions)
        self.latent, self.gamma, self.rate, self.drop = latent, gamma, rate, drop
        self.distances = Tally(2)
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("measure", torch.full((), math.nan))

    @staticmethod
    def usual_net(space: Real) -> Coder:
        """Convolutions for a grid, MLPs otherwise."""
        return conv_coder if len(space.shape) > 1 else mlp_coder

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """The autoencoder's turn, the generator's, then k moves."""
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        fake = self.generator(uniform(len(x), self.latent, device=x.device) * 2 - 1, cond)
        real = self._distance(x, cond)
        wrong = self._distance(fake.detach(), cond)
        yield "discriminator", {"data": real.mean(), "samples": -self.k * wrong.mean()}
        with frozen(self.discriminator):
            pleased = self._distance(fake, cond)
        self.distances.add(real, pleased)
        yield "generator", {"generator": pleased.mean()}
        means = self.distances.take()
        if means is not None:
            self._balance(*means)

    def vitals(self) -> Mapping[str, Tensor]:
        """The balance k, and the measure of convergence M = L(x) + |gamma L(x) - L(G(z))|."""
        return {} if self.measure.isnan() else {"balance": self.k, "convergence": self.measure}

    def sample_steps(self, rng: Rng, cond: Condition) -> Iterator[Tensor]:
        """One guess, from noise that is uniform in [-1, 1]."""
        yield self.generator((rng.uniform(self.latent) * 2 - 1).to(self.k.dtype), cond)

    def _distance(self, x: Tensor, cond: Condition) -> Tensor:
        """Mean absolute error of each row, (B,)."""
        return (x - self.discriminator(x, cond)).abs().flatten(1).mean(1)

    def _balance(self, real: Tensor, fake: Tensor) -> None:
        short = self.gamma * real - fake
        self.k.copy_((self.k + self.rate * short).clamp(0, 1))
        self.measure.copy_(real + short.abs())
