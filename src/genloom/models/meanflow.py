"""MeanFlow: learn the average velocity between two times, so that one step is enough.

Geng et al., Mean Flows for One-step Generative Modeling, 2025 (arXiv:2505.13447). Time runs from 0
(data) to 1 (noise) there and here: z_t = (1 - t) y + t noise, of velocity v = noise - y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, ClassVar, final

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
    like,
    normal_like,
    stratified,
    uniform,
)
from genloom.errors import BadInput
from genloom.models.diffusion import Diffusion
from genloom.nets.embed import Fourier
from genloom.sampling import evaluating

Net = Callable[[int, int, int, Mapping[str, Space]], nn.Module]
SPAN = "span"  # the condition by which a net learns t - r
FEATURES = 32  # numbers that tell it
NUDGE = 5e-3  # of time, to either side, for the derivative
FLOOR = 1e-3  # c of the adaptive weight, for the mean square over a datum


@final
class MeanFlow(Generative):
    """Samples in 1 to 4 evaluations of a net, over any Real space.

    Args:
        space: One datum, (C, *spatial).
        conditions: Name -> space.
        net: As for `Diffusion`; besides, it is given a condition that tells t - r.
        share: Of training rows with r < t; the others learn the velocity at one time.
        power: Of the adaptive weight 1 / (error + c)^power; 0 is the plain square (Eq. 22).
        guidance: Weight of the condition that is trained in (Eq. 19, kappa = 0): sampling then
            needs no second evaluation. 1 is the plain conditional model.
        drop: Share of training rows whose conditions are hidden.

    Raises:
        BadInput: A condition has the name that t - r needs.
    """

    recommended: ClassVar[Mapping[str, Any]] = Diffusion.recommended
    space: Real
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        space: Space,
        conditions: Mapping[str, Space],
        *,
        net: Net | None = None,
        share: Annotated[float, Interval(ge=0, le=1)] = 0.25,
        power: Annotated[float, Interval(ge=0, le=2)] = 0.75,
        guidance: Annotated[float, Interval(ge=0, le=20)] = 1.0,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        if SPAN in conditions:
            raise BadInput(f"a condition is called {SPAN!r}, which meanflow needs. Rename it.")
        self.share, self.power, self.guidance, self.drop = share, power, guidance, drop
        channels, *spatial = self.space.shape
        net = net or self.usual_net(self.space)
        self.net = net(channels, channels, len(spatial), {**conditions, SPAN: Real((FEATURES,))})
        self.fourier = Fourier(FEATURES, high=16.0, low=0.25)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @staticmethod
    def usual_net(space: Real) -> Net:
        """Diffusion's, with slower waves of time: the loss has its derivative."""
        usual: Any = Diffusion.usual_net(space)
        return partial(usual, high=16.0)

    prepare = Diffusion.prepare

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Adaptively weighted square error of the average velocity (Alg. 1)."""
        n = len(x)
        noise, mean, std = normal_like(x), *self._channels(x)
        y = (x - mean) / std
        t, r = self._times(x)
        if self.drop and cond:
            cond = hide(cond, stratified(n, device=x.device) < self.drop)
        z, v = torch.lerp(y, noise, like(t, x)), noise - y
        with torch.no_grad(), evaluating(self.net):
            along = self._guided(z, v, t, cond)
            wanted = along - like(t - r, x) * self._derivative(z, along, r, t, cond)
        error = (self.velocity(z, r, t, cond) - wanted).square().flatten(1).mean(1)
        weight = (error.detach() + FLOOR) ** -self.power
        return {"velocity": (weight * error).mean()}

    def velocity(self, z: Tensor, r: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """u(z, r, t), the average velocity from time t back to r <= t, of data in unit scale.

        Args:
            z: At time t, (B, *shape).
            r: (B,).
            t: (B,).
            cond: Name -> (B, ...).
        """
        return self.net(z, t, {**cond, SPAN: self.fourier(t - r).to(z.dtype)})

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        steps: Annotated[int, Interval(ge=1, le=1000)] = 2,
    ) -> Iterator[Tensor]:
        """Yield the datum that each step points to; steps are equal in time (Alg. 2)."""
        z = rng.normal(*self.space.shape).to(self.mean.dtype)
        mean, std = self._channels(z)
        for t, r in pairwise(torch.linspace(1, 0, steps + 1, device=z.device)):
            u = self.velocity(z, r.expand(len(z)), t.expand(len(z)), cond)
            guess = mean + std * (z - t * u)
            z = z - (t - r) * u
            yield guess.clamp(-1, 1) if self.space.levels else guess

    def _times(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Times t and r <= t, (B,) each: the ends of uniform intervals, `share` of them not empty.

        The article prefers logit-normal ones, which hardly ever see t = 1, where sampling begins;
        after short training on digits uniform ones were better in 1, 2 and 4 steps.
        """
        n, device = len(x), x.device
        one, other = stratified(n, device=device), stratified(n, device=device)
        t, r = torch.maximum(one, other), torch.minimum(one, other)
        return t, torch.where(uniform(n, device=device) < self.share, r, t)

    def _guided(self, z: Tensor, v: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """The velocity of the guided field where the condition is seen, else v."""
        if self.guidance == 1 or not cond:
            return v
        seen = torch.ones(len(z), dtype=torch.bool, device=z.device)
        for value in cond.values():
            gone = value.isnan() if value.is_floating_point() else value == -1
            seen &= ~gone.flatten(1).all(1) if gone.ndim > 1 else ~gone
        hidden = hide(cond, torch.ones_like(seen))
        blind = self.velocity(z, t, t, hidden)
        return torch.where(like(seen, z), torch.lerp(blind, v, self.guidance), v)

    def _derivative(self, z: Tensor, v: Tensor, r: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """du/dt along the path, as a central difference.

        The article takes a Jacobian-vector product. Forward differentiation knows neither fused
        attention nor hand-written gradients; two evaluations cost no more, and any net will do.
        """
        with torch.autocast(z.device.type, enabled=False):
            after, before = (
                self.velocity(z + step * v, r, t + step, cond) for step in (NUDGE, -NUDGE)
            )
        return (after - before) / (2 * NUDGE)

    def _channels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *(1,) * (x.ndim - 2))
        return self.mean.view(shape), self.std.view(shape)
