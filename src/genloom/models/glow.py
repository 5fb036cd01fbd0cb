"""Normalizing flows: an invertible map from data to normal noise, hence an exact density.

RealNVP (Dinh et al., 2016, arXiv:1605.08803) and Glow (Kingma and Dhariwal, 2018,
arXiv:1807.03039): affine couplings over channels, between matrices or fixed orders of the channels,
squeezed and split over several scales. The learned priors of split channels are couplings too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, cast, final

import torch
from torch import Tensor, nn

from genloom.core import (
    Condition,
    Generative,
    Interval,
    Real,
    Rng,
    Space,
    Terms,
    hide,
    uniform,
)
from genloom.errors import BadInput
from genloom.models.coupling import Centre, Net, Scale
from genloom.nets.coupling import CouplingNet

EDGE = 0.05  # RealNVP, section 4.1: data lie in [EDGE, 1 - EDGE] before the logit
DRAWS = 8  # of the noise within a level, when a likelihood is taken


@final
class Glow(Generative):
    """A flow over any Real space of at least two numbers.

    Data with levels are spread over their levels by uniform noise and sent through a logit, so
    samples never leave the range; their likelihood is then a lower bound. Otherwise it is exact.

    Args:
        space: One datum, (C, *spatial). Sides are halved where they are even.
        conditions: Labels and real vectors, for all couplings and the law of the last code.
        net: Makes net(x, cond) from (shape of x, channels out, conditions), for each coupling.
        mixing: "learned" matrices between couplings, or "fixed" orders: RealNVP's checkerboards,
            then its halves of the channels, each half moving in turn.
        levels: Scales, from one to the next half of the channels is done; None: up to 3, as often
            as a side is even.
        steps: Couplings of a scale.
        drop: Share of training rows whose conditions are hidden; above 0 it can sample without.
    """

    recommended: ClassVar[Mapping[str, Any]] = {
        "optimizer": "adamw",
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.99,
        "batch": 64,
        "clip": 1.0,
        "schedule": "linear",
        "warmup": 0.05,
        "warmdown": 0.6,
        "ema": 0.10,
    }
    space: Real

    def __init__(
        self,
        space: Space,
        conditions: Mapping[str, Space],
        *,
        net: Net | None = None,
        mixing: Literal["learned", "fixed"] = "learned",
        levels: Annotated[int | None, Interval(ge=1, le=8)] = None,
        steps: Annotated[int, Interval(ge=1, le=256)] = 8,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        self.drop = drop
        self.likelihood: Literal["exact", "bound"] = "bound" if self.space.levels else "exact"
        make = net or self.usual_net(self.space)
        count = levels or _scales(self.space.shape[1:])
        self.scales = nn.ModuleList()
        shape, learned = self.space.shape, mixing == "learned"
        for last in [False] * (count - 1) + [True]:
            scale = Scale(shape, conditions, make, learned=learned, steps=steps, last=last)
            self.scales.append(scale)
            shape = scale.shape
        self.centre = Centre(shape[0], conditions) if conditions else None

    @staticmethod
    def usual_net(space: Real) -> Net:
        """Three layers: convolutions, or matrices where there is no axis."""
        return partial(CouplingNet, width=64 if len(space.shape) > 1 else 128)

    @torch.no_grad()
    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Give every layer's output zero mean and unit variance on these data.

        Raises:
            BadInput: All data are equal.
        """
        if not (x != x[:1]).any():
            raise BadInput("all data are equal: there is nothing to learn. Give varied data.")
        generator = torch.Generator().manual_seed(0)
        h, _ = self._spread(x, torch.rand(x.shape, generator=generator).to(x))
        for scale in self._scales():
            h = scale.prepare(h, cond)

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Negative log-likelihood in nats per dimension, with one draw of the noise in a level."""
        if self.drop and cond:
            cond = hide(cond, uniform(len(x), device=x.device) < self.drop)
        noise = uniform(*x.shape, device=x.device) if self.space.levels else x.new_zeros(())
        log_p = self._log_density(x, cond, noise)
        return {"nll": -log_p.mean() / math.prod(self.space.shape)}

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """Nats, (B,): exact of a density, or a bound on the mass of data with levels.

        The bound is the importance-weighted one over `DRAWS` draws of uniform noise (Burda et al.,
        2015, arXiv:1509.00519, Eq. 8; the noise has density 1), from a fixed seed: the same batch
        always has the same bound.
        """
        if not self.space.levels:
            return self._log_density(x, cond, x.new_zeros(()))
        generator = torch.Generator().manual_seed(0)
        parts = [
            self._log_density(x, cond, torch.rand(x.shape, generator=generator).to(x))
            for _ in range(DRAWS)
        ]
        return torch.stack(parts).logsumexp(0) - math.log(DRAWS)

    def encode(self, x: Tensor, cond: Condition) -> Tensor:
        """The normal noise behind data, at the middle of a level: (B, *space.shape) -> (B, D)."""
        return self._flow(self._spread(x, torch.full_like(x, 0.5))[0], cond)[0]

    def decode(self, z: Tensor, cond: Condition) -> Tensor:
        """The inverse of `encode`: (B, D) -> (B, *space.shape)."""
        return self._gather(self._back(z, cond))

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        temperature: Annotated[float, Interval(ge=0, le=2)] = 1.0,
    ) -> Iterator[Tensor]:
        """One guess. Temperature scales the noise: below 1, more typical and less diverse.

        Glow, section 6, shows pictures at 0.7. Data with levels come out on a level.
        """
        z = rng.normal(math.prod(self.space.shape)).to(next(self.parameters()).dtype)
        x = self.decode(temperature * z, cond)
        if self.space.levels:
            steps = self.space.levels - 1
            x = ((x + 1) / 2 * steps).round().clamp(0, steps) * (2 / steps) - 1
        yield x

    def _log_density(self, x: Tensor, cond: Condition, noise: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # half precision cannot be inverted
            h, log_det = self._spread(x.float() if x.element_size() < 4 else x, noise)
            z, more = self._flow(h, cond)
        log_normal = -(z.square().sum(1) + z.shape[1] * math.log(2 * math.pi)) / 2
        return log_normal + log_det + more

    def _spread(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Data as reals, channels last, and the log-determinant; with levels, that of the mass.

        y = logit(EDGE + (1 - 2 EDGE) (k + noise) / levels), for the k-th level.
        """
        levels, log_det = self.space.levels, x.new_zeros(len(x))
        if levels:
            share = ((x + 1) / 2 * (levels - 1) + noise) / levels
            s = EDGE + (1 - 2 * EDGE) * share
            each = math.log((1 - 2 * EDGE) / levels) - (s * (1 - s)).log()
            x, log_det = s.logit(), each.flatten(1).sum(1)
        return x.movedim(1, -1), log_det

    def _gather(self, h: Tensor) -> Tensor:
        x, levels = h.movedim(-1, 1), self.space.levels
        if not levels:
            return x
        share = (x.sigmoid() - EDGE) / (1 - 2 * EDGE)
        return (share * levels - 0.5) * (2 / (levels - 1)) - 1

    def _flow(self, h: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """(B, *spatial, C) -> the noise, (B, D), and the log-determinant, (B,)."""
        parts, total = [], h.new_zeros(len(h))
        for scale in self._scales():
            h, done, log_det = scale(h, cond)
            parts.append(done.flatten(1))
            total = total + log_det
        if self.centre is not None:
            h, log_det = self.centre(h, cond)
            total = total + log_det
        return torch.cat([*parts, h.flatten(1)], 1), total

    def _back(self, z: Tensor, cond: Condition) -> Tensor:
        scales = self._scales()
        sizes = [scale.done for scale in scales]
        *parts, h = z.split([*sizes, z.shape[1] - sum(sizes)], 1)
        channels, *spatial = scales[-1].shape
        h = h.view(-1, *spatial, channels)
        if self.centre is not None:
            h = self.centre.inverse(h, cond)
        for scale, done in zip(reversed(scales), reversed(parts)):
            h = scale.inverse(h, done, cond)
        return h

    def _scales(self) -> list[Scale]:
        return cast(list[Scale], list(self.scales))


def _scales(spatial: Sequence[int]) -> int:
    """How often a side of at least 4 is even, at most 3 and at least 1."""
    sides, count = list(spatial), 0
    while count < 3 and any(side % 2 == 0 and side >= 4 for side in sides):
        sides = [side // 2 if side % 2 == 0 else side for side in sides]
        count += 1
    return max(count, 1)


def realnvp(
    space: Space,
    conditions: Mapping[str, Space],
    *,
    net: Net | None = None,
    levels: Annotated[int | None, Interval(ge=1, le=8)] = None,
    steps: Annotated[int, Interval(ge=1, le=256)] = 8,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Glow:
    """RealNVP: Dinh et al., 2016 (arXiv:1605.08803), fixed orders of the channels.

    With Glow's actnorm and three-layer nets in the place of batch normalization and residual nets:
    a sample must not depend on its neighbours.
    """
    return Glow(space, conditions, net=net, mixing="fixed", levels=levels, steps=steps, drop=drop)
