"""A hierarchical VAE: latents on several grids, each expected from those above it.

Sonderby et al., 2016 (arXiv:1602.02282); in the form of Child, 2020 (arXiv:2011.10650), small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, final

import torch
from torch import Tensor

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
    normal,
    normal_like,
    uniform,
)
from genloom.models import likelihoods
from genloom.nets.ladder import Ladder, Moments

LadderNet = Callable[[Real, int, Mapping[str, Space]], Ladder]
BOUND_DRAWS = 16


@final
class Hvae(Generative):
    """Stages of latent Gaussians, from a vector down to fine grids, and a likelihood.

    Args:
        space: One datum, (C, *spatial), every axis even and at least 8.
        conditions: Labels and real vectors.
        net: Makes the stages from (space, factors, conditions), see `nets.ladder`.
        likelihood: As for `vae`.
        scale: As for `vae`.
        beta: Weight of the rate.
        free_bits: Nats per datum and stage that cost nothing (Kingma et al., 2016,
            arXiv:1606.04934, Eq. 15).
        anneal: Share of the run over which beta rises from 0, as in Sonderby et al., section 2.3.
        drop: Share of training rows whose conditions are hidden.
    """

    recommended: Mapping[str, Any] = {
        "optimizer": "adamw",
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.99,
        "batch": 64,
        "clip": 200.0,
        "warmup": 0.02,
        "ema": 0.10,
    }
    likelihood: Literal["bound"] = "bound"

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: LadderNet | None = None,
        likelihood: Literal["bernoulli", "gaussian", "dlogistic"] | None = None,
        scale: Literal["global", "pixel"] | None = None,
        beta: Annotated[float, Interval(ge=0)] = 1.0,
        free_bits: Annotated[float, Interval(ge=0)] = 0.0,
        anneal: Annotated[float, Interval(ge=0, le=1)] = 0.0,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        self.expected = likelihoods.make(space, likelihood, scale)
        self.net = (net or self.usual_net(space))(space, self.expected.factors, conditions)
        self.beta, self.free_bits, self.anneal, self.drop = beta, free_bits, anneal, drop
        self.sizes = [math.prod(shape) for shape in self.net.shapes]
        self.posterior_nats: Tensor | None = None

    @staticmethod
    def usual_net(space: Real) -> LadderNet:
        """Convolutions."""
        return Ladder

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Start the likelihood's scale from the spread of the data."""
        self.expected.prepare(x)

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """Distortion and rate in nats per datum, the latter with its weight in the run."""
        if cond and self.drop:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        grown = min(step.fraction / self.anneal, 1.0) if self.anneal else 1.0
        out, rates = self._inferred(x, cond)
        self.posterior_nats = sum(rates, torch.zeros(())).detach().mean()
        paid = [rate.clamp(min=self.free_bits).mean() for rate in rates]
        yield (
            "",
            {
                "distortion": -self.expected.log_prob(out, x).mean(),
                "rate": self.beta * grown * torch.stack(paid).sum(),
            },
        )

    def vitals(self) -> Mapping[str, Tensor]:
        """Nats that the latents carry about a datum."""
        return {} if self.posterior_nats is None else {"posterior_nats": self.posterior_nats}

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """The importance-weighted bound with 16 draws; see `bound`."""
        return self.bound(x, cond, BOUND_DRAWS)

    def bound(self, x: Tensor, cond: Condition, k: int) -> Tensor:
        """A lower bound on the log-likelihood, in nats, (B,); tighter with more draws.

        Burda et al., 2015 (arXiv:1509.00519), Eq. 8. The noise is that of a fixed seed, drawn on
        the CPU, so that the same batch always has the same bound.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            weights = torch.stack([self._log_weight(x, cond) for _ in range(k)])
        return weights.logsumexp(0) - math.log(k)

    def encode(self, x: Tensor, cond: Condition) -> Tensor:
        """The posteriors' means, stage after stage: (B, *space.shape) -> (B, all latents)."""
        features, found = self.net.up(x), []

        def mean(i: int, h: Tensor, prior: Moments) -> Tensor:
            found.append(self.net.stage(i).posterior(h, features[i], prior)[0])
            return found[-1]

        self._down(cond, len(x), mean)
        return torch.cat([z.flatten(1) for z in found], 1)

    def decode(self, z: Tensor, cond: Condition) -> Tensor:
        """The likelihood's mean: (B, all latents) -> (B, *space.shape)."""
        parts = z.split(self.sizes, 1)
        out = self._down(cond, len(z), lambda i, h, prior: parts[i].view(-1, *self.net.shapes[i]))
        return self.expected.mean(out)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        noise: bool = False,
        temperature: Annotated[float, Interval(ge=0, le=2)] = 1.0,
    ) -> Iterator[Tensor]:
        """One guess: the likelihood's mean, or with `noise` a draw from it.

        Temperature scales the deviation of all latents: below 1, more typical and less diverse.
        """

        def draw(i: int, h: Tensor, prior: Moments) -> Tensor:
            eps = rng.normal(*self.net.shapes[i]).to(h.dtype)
            return prior[0] + temperature * prior[1].exp() * eps

        out = self._down(cond, len(rng), draw)
        yield self.expected.draw(out, rng) if noise else self.expected.mean(out)

    def _down(
        self, cond: Condition, n: int, choose: Callable[[int, Tensor, Moments], Tensor]
    ) -> Tensor:
        """What the likelihood reads, with the latents of stage i as choose(i, stream, prior)."""
        h = self.net.start(cond, n)
        for i in range(len(self.net.shapes)):
            stage = self.net.stage(i)
            h = stage.absorb(h, choose(i, h, stage.prior(h)))
            h = self.net.widen(h, i)
        return h

    def _inferred(self, x: Tensor, cond: Condition) -> tuple[Tensor, list[Tensor]]:
        """What the likelihood reads, and the divergence of posterior and prior per stage, (B,)."""
        features, rates = self.net.up(x), []

        def draw(i: int, h: Tensor, prior: Moments) -> Tensor:
            mean, log_std = self.net.stage(i).posterior(h, features[i], prior)
            rates.append(_divergence((mean, log_std), prior).flatten(1).sum(1))
            return mean + log_std.exp() * normal_like(mean)

        return self._down(cond, len(x), draw), rates

    def _log_weight(self, x: Tensor, cond: Condition) -> Tensor:
        """Log of p(x, z) / q(z | x) at one draw of z, (B,)."""
        features, ratios = self.net.up(x), []

        def draw(i: int, h: Tensor, prior: Moments) -> Tensor:
            mean, log_std = self.net.stage(i).posterior(h, features[i], prior)
            eps = normal(*mean.shape, device=torch.device("cpu")).to(mean)
            z = mean + log_std.exp() * eps
            off = (z - prior[0]) * (-prior[1]).exp()
            # The normal densities' constants cancel.
            ratios.append(
                ((eps.square() - off.square()) / 2 + log_std - prior[1]).flatten(1).sum(1)
            )
            return z

        said = self.expected.log_prob(self._down(cond, len(x), draw), x)
        return said + torch.stack(ratios).sum(0)


def _divergence(q: Moments, p: Moments) -> Tensor:
    """Kullback-Leibler divergence of two Gaussians, elementwise, in nats."""
    ratio = q[1] - p[1]
    off = (q[0] - p[0]) * (-p[1]).exp()
    return (off.square() + (2 * ratio).exp() - 1) / 2 - ratio
