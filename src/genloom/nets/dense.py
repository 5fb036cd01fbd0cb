"""Pairs of MLPs: encoder and decoder, generator and discriminator. The datum is flattened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, final

import torch
from torch import Tensor, nn

from genloom.core import Condition, Real, Space
from genloom.nets.conv import vectors_only
from genloom.nets.embed import ChannelNorm, ConditionVector

Norm = Literal["none", "rms", "batch"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU}


@final
class Dense(nn.Module):
    """An MLP whose first hidden layer sees the condition: (B, *) -> (B, *shape).

    Args:
        widths: Of the input, the hidden layers and the output.
        shape: Of one output.
        conditions: Labels and real vectors.
        activation: Makes the nonlinearity after each hidden layer.
        norm: Between a hidden layer and its nonlinearity; "batch" is left out of the first, as in
            Goodfellow-style generators of the tutorials.
        bounded: End in tanh.
    """

    def __init__(
        self,
        widths: list[int],
        shape: tuple[int, ...],
        conditions: Mapping[str, Space],
        *,
        activation: nn.Module,
        norm: Norm = "none",
        bounded: bool = False,
    ):
        super().__init__()
        vectors_only(conditions, "an MLP")
        self.shape = shape
        first, second, *rest = widths
        self.first = nn.Linear(first, second)
        self.cond = ConditionVector(conditions, second, scale=0.5) if conditions else None
        layers: list[nn.Module] = [ChannelNorm(second)] if norm == "rms" else []
        for c_in, c_out in pairwise([second, *rest]):
            layers += [activation, nn.Linear(c_in, c_out)]
            if norm == "rms":
                layers.append(ChannelNorm(c_out))
            elif norm == "batch":
                layers.append(nn.BatchNorm1d(c_out))
        if norm != "none":
            layers.pop()
        self.rest = nn.Sequential(*layers, *([nn.Tanh()] if bounded else []))

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, *) -> (B, *shape)."""
        h = self.first(x.flatten(1))
        if self.cond is not None:
            h = h + self.cond(cond, len(x))
        return self.rest(h).view(len(x), *self.shape)


@final
class Critic(nn.Module):
    """An MLP with a projection of the condition on its last features: (B, *) -> (B,).

    Miyato and Koyama, 2018 (arXiv:1802.05637), Eq. 3. With frequencies it also sees random cosines
    and sines of the datum (Tancik et al., 2020, arXiv:2006.10739, section 4), without which a
    smooth net takes very long to tell narrow modes from what lies between them.

    Args:
        widths: Of the input and the hidden layers.
        conditions: Labels and real vectors.
        activation: After each hidden layer.
        frequencies: Number of random directions.
        detail: Their spread in radians per unit of the data, which have about unit variance.
    """

    waves: Tensor

    def __init__(
        self,
        widths: list[int],
        conditions: Mapping[str, Space],
        activation: nn.Module,
        *,
        frequencies: int = 0,
        detail: float = 6.0,
    ):
        super().__init__()
        vectors_only(conditions, "an MLP")
        first, *rest = widths
        self.register_buffer("waves", torch.randn(first, frequencies) * detail)
        layers = []
        for c_in, c_out in pairwise([first + 2 * frequencies, *rest]):
            layers += [nn.Linear(c_in, c_out), activation]
        self.body = nn.Sequential(*layers)
        self.head = Projection(widths[-1], conditions)

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        """(B, *) -> (B,)."""
        x = x.flatten(1)
        if self.waves.shape[1]:
            angle = x @ self.waves
            x = torch.cat([x, angle.sin(), angle.cos()], 1)
        return self.head(self.body(x), cond)


@final
class Projection(nn.Module):
    """A logit from features, and from their product with the condition: (B, D) -> (B,)."""

    def __init__(self, features: int, conditions: Mapping[str, Space]):
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.cond = (
            ConditionVector(conditions, features, scale=features**-0.5) if conditions else None
        )

    def hold_offset(self) -> None:
        """Leave the bias as it is, where a loss sees differences of logits alone.

        There its gradient is zero but for rounding, which Adam would scale up to full steps.
        """
        self.linear.bias.requires_grad_(False)

    def forward(self, h: Tensor, cond: Condition) -> Tensor:
        """(B, D) -> (B,)."""
        logit = self.linear(h)[:, 0]
        return logit if self.cond is None else logit + (self.cond(cond, len(h)) * h).sum(1)


def mlp_coder(
    space: Real,
    latent: int,
    factors: int,
    conditions: Mapping[str, Space],
    *,
    width: int = 512,
    depth: int = 1,
    activation: Literal["relu", "silu"] = "silu",
) -> tuple[Dense, Dense]:
    """An encoder to 2 * latent numbers and a decoder to factors * C channels.

    Args:
        space: One datum, of any shape.
        latent: Size of the code.
        factors: Channels that the likelihood reads per channel of the datum.
        conditions: Labels and real vectors; both nets see them.
        width: Of the hidden layers.
        depth: Hidden layers in each net.
        activation: After each hidden layer.
    """
    numel, act = math.prod(space.shape), ACTIVATIONS[activation]
    shape = (factors * space.shape[0], *space.shape[1:])
    hidden = [width] * depth
    return (
        Dense([numel, *hidden, 2 * latent], (2 * latent,), conditions, activation=act()),
        Dense([latent, *hidden, factors * numel], shape, conditions, activation=act()),
    )


def mlp_players(
    space: Real,
    latent: int,
    conditions: Mapping[str, Space],
    *,
    width: int = 128,
    depth: int = 3,
    norm: Norm = "none",
    frequencies: int | None = None,
) -> tuple[Dense, Critic]:
    """A generator (B, latent) -> (B, *shape) and a discriminator (B, *shape) -> (B,).

    Args:
        space: One datum, of any shape; with levels, the generator ends in tanh.
        latent: Size of the generator's noise.
        conditions: Labels and real vectors; both nets see them.
        width: Of the hidden layers.
        depth: Hidden layers in each net.
        norm: In the generator. The discriminator has none, for a gradient penalty is per sample.
        frequencies: Of the discriminator's random features; None: 32 up to 8 numbers, else 0.
    """
    numel, hidden = math.prod(space.shape), [width] * depth
    generator = Dense(
        [latent, *hidden, numel],
        space.shape,
        conditions,
        activation=nn.LeakyReLU(0.2),
        norm=norm,
        bounded=space.levels is not None,
    )
    if frequencies is None:
        frequencies = 32 if numel <= 8 else 0
    critic = Critic([numel, *hidden], conditions, nn.LeakyReLU(0.2), frequencies=frequencies)
    return generator, critic


def with_condition(z: Tensor, embedding: ConditionVector | None, cond: Condition) -> Tensor:
    """The noise, and beside it the embedded condition: (B, latent) -> (B, latent + width)."""
    return z if embedding is None else torch.cat([z, embedding(cond, len(z))], 1)
