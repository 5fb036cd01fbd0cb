"""Diffusion and flow matching: learn the mean of the clean datum behind a noisy one.

Ho et al., 2020 (arXiv:2006.11239); Salimans and Ho, 2022 (arXiv:2202.00512); Karras et al., 2022
(arXiv:2206.00364); Lipman et al., 2022 (arXiv:2210.02747). What a net is trained to predict and at
which noise levels are two arguments; solvers see the denoiser D(x; sigma) alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from genloom import schedules, solvers
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
)
from genloom.core import options as sampling_options
from genloom.errors import BadInput
from genloom.models import learned_variance, targets
from genloom.models.bound import Ends, variational
from genloom.models.coupling_ot import transport
from genloom.models.learned_variance import Chain, Guess, Guesses
from genloom.models.targets import TARGETS, TargetName, WeightName, min_snr
from genloom.nets.mlp import Mlp
from genloom.nets.unet import fitting
from genloom.schedules import LAWS, LawName
from genloom.solvers import SolverName

Net = Callable[[int, int, int, Mapping[str, Space]], nn.Module]
VarianceName = Literal["fixed", "learned"]
Span = tuple[float, float]  # the least and the greatest sigma
NOWHERE: Span = (1.0, 0.0)


@final
class Diffusion(Generative):
    """A denoiser over any Real space: points, table rows, series, images, video.

    Args:
        space: One datum, (C, *spatial).
        conditions: Name -> space.
        net: Makes net(z, c_noise, cond) from (channels in, channels out, axes, conditions), with
            c_noise = ln(r) / 4; None is a U-Net, or an MLP where there is no spatial axis.
        target: What the net predicts.
        law: At which noise levels it is trained; None is the law usual for the target.
        weight: How noise levels are weighed in the loss: by the target alone, or also by
            min(SNR, 5), which keeps easy levels from ruling (see `targets.min_snr`).
        coupling: Which noise a datum is paired with: any, or that of the batch's cheapest
            transport (see `coupling_ot`). Pairs are sought within a micro-batch.
        variance: Of the steps of `solver="ancestral"` and of the bound: that of a known datum, or
            learned beside it (see `learned_variance`), which takes a law that is a table.
        drop: Share of training rows whose conditions are hidden; above 0 it allows guidance.
    """

    recommended: ClassVar[Mapping[str, Any]] = {
        "optimizer": "adamw",
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.99,
        "batch": 64,
        "clip": 1.0,
        "schedule": "linear",
        "warmup": 0.02,
        "warmdown": 0.6,
        "ema": 0.10,
    }
    likelihood: ClassVar[Literal["bound"]] = "bound"
    space: Real
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        space: Space,
        conditions: Mapping[str, Space],
        *,
        net: Net | None = None,
        target: TargetName = "flow",
        law: LawName | None = None,
        weight: WeightName = "target",
        coupling: Literal["independent", "ot"] = "independent",
        variance: VarianceName = "fixed",
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        self.target, usual = TARGETS[target]
        self.target_name, self.weight, self.drop = target, weight, drop
        self.coupling, self.learned = coupling, variance == "learned"
        self.law_name: LawName = law or usual
        targets.check(target, self.law_name)
        learned_variance.check(self.law_name if self.learned else None)
        channels, *spatial = self.space.shape
        net = net or self.usual_net(self.space)
        self.net = net(channels, channels * (1 + self.learned), len(spatial), conditions)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @staticmethod
    def usual_net(space: Real) -> Net:
        """An MLP without spatial axes, else a U-Net of about a million parameters that fits."""
        _, *spatial = space.shape
        return fitting(spatial) if spatial else Mlp

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Measure mean and standard deviation of each channel.

        Raises:
            BadInput: All data are equal.
        """
        axes = [0, *range(2, x.ndim)]
        std, mean = torch.std_mean(x.double(), axes, correction=0)
        if not std.max() > 0:
            raise BadInput("all data are equal: there is nothing to learn. Give varied data.")
        self.mean.copy_(mean)
        self.std.copy_(std.clamp(min=1e-2 * float(std.max())))  # a constant channel has none

    @property
    def scale(self) -> Tensor:
        """Standard deviation of the data over all channels, the unit of r."""
        return self.std.square().mean().sqrt()

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Mean square error of what the net predicts, at stratified noise levels."""
        n = len(x)
        u = stratified(n, device=x.device)
        sigma = LAWS[self.law_name](u) * self.scale
        noise = normal_like(x)
        mean, std = self._channels(x)
        if self.coupling == "ot":
            noise = transport(noise, (x - mean) / std)
        if self.drop and cond:
            cond = hide(cond, stratified(n, device=x.device) < self.drop)
        target = self.target(like(sigma, x) / std)
        z = target.scale * (x - mean + like(sigma, x) * noise) / std
        wanted = target.of_datum * ((x - mean) / std) + target.of_noise * noise
        predicted, v = self._predict(z, sigma, cond)
        error = (predicted - wanted).square()
        if self.weight == "min-snr":
            error = error * min_snr(target, like(sigma, x) / std)
        terms = {self.target_name: error.mean()}
        if self.learned:
            d = mean + std * (target.from_input * z + target.from_net * predicted).detach()
            terms["bound"] = self._chain(x).term(x, (self._within(d), v), u, self.space.levels)
        return terms

    def denoise(self, x: Tensor, sigma: Tensor, cond: Condition) -> Tensor:
        """E[datum | datum + sigma * noise = x], within the range of the data where it is known."""
        return self._within(self._guess(x, sigma, cond)[0])

    def start(self, rng: Rng, sigma: float) -> Tensor:
        """Where sampling starts: noise of deviation sigma about the mean of the data."""
        noise = rng.normal(*self.space.shape).to(self.mean.dtype)
        return self._channels(noise)[0] + sigma * noise

    def error(self, x: Tensor, sigma: Tensor, wanted: Tensor, cond: Condition) -> Tensor:
        """Squared error of a prediction, where D(x; sigma) should be `wanted`; x's shape.

        Args:
            x: Noisy data, (B, *shape).
            sigma: Their noise, (B,).
            wanted: Denoised data, (B, *shape).
            cond: Conditions of each row.
        """
        mean, std = self._channels(x)
        target = self.target(like(sigma, x) / std)
        z = target.scale * (x - mean) / std
        aim = ((wanted - mean) / std - target.from_input * z) / target.from_net
        return (self._predict(z, sigma, cond)[0] - aim).square()

    @torch.no_grad()
    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """A lower bound in nats, (B,), from 24 evaluations a datum (see `bound`).

        The noise is that of a fixed seed: the same batch always has the same bound.
        """
        levels, (mean, std) = self.space.levels, self._channels(x)
        known = {"levels": levels, "draws": 24, "generator": torch.Generator().manual_seed(0)}
        if self.learned:
            guesses = self._guided(cond, 1.0, NOWHERE)
            return learned_variance.bound(guesses, x, self._chain(x), mean, **known)
        # a quarter of the levels' distance hardly hides which one it was
        low = 0.5 / (levels - 1) if levels else 0.002 * self.scale.item()
        ends = Ends(mean, std, low, 160 * self.scale.item())
        return variational(lambda x, sigma: self.denoise(x, sigma, cond), x, ends, **known)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        steps: Annotated[int, Interval(ge=1, le=1000)] = 16,
        solver: SolverName = "unipc",
        guidance: Annotated[float, Interval(ge=0, le=20)] = 1.5,
        guide_from: Annotated[float, Interval(ge=0, le=1000)] = 0.3,
        guide_to: Annotated[float, Interval(ge=0, le=1000)] = 5.0,
        rescale: Annotated[float, Interval(ge=0, le=1)] = 0.0,
        eta: Annotated[float, Interval(ge=0, le=1)] = 1.0,
    ) -> Iterator[Tensor]:
        """Yield the denoised guess of every step.

        Args:
            rng: One stream per sample.
            cond: Conditions of each sample.
            steps: Noise levels that are visited; heun evaluates the net twice at each.
            solver: How to go from level to level. `euler` is DDIM; `ancestral` (DDPM) and
                `dpmpp_sde` add fresh noise.
            guidance: Weight of the condition; 1 is the plain conditional model (Ho and Salimans,
                2022, arXiv:2207.12598, Eq. 6, w = guidance - 1). Without effect where nothing was
                dropped in training.
            guide_from: Least r that is guided (Kynkaanniemi et al., 2024, arXiv:2404.07724). Where
                none of the few levels that are visited lies from here to `guide_to`, the nearest
                of them is guided instead, by our own rule, or guidance would say nothing.
            guide_to: Greatest r that is guided; 0, or less than `guide_from`: nowhere.
            rescale: How far a guided guess is given back the contrast of a plain one, where
                guidance over-exposes (Lin et al., 2023, arXiv:2305.08891, Eq. 14 to 16).
            eta: Share of the fresh noise, where the solver adds any; `ancestral` with 0 is DDIM at
                the levels of its own table.
        """
        sigmas = self._levels(steps, solver)
        span = self._span(guide_from, guide_to, sigmas)
        guesses = self._guided(cond, guidance, span, rescale)
        x = self.start(rng, sigmas[0].item())
        fresh = partial(rng.normal, *self.space.shape)
        if self.learned and solver == "ancestral":
            chain = self._chain(x)
            yield from learned_variance.ancestral(guesses, x, sigmas, fresh, chain, eta=eta)
        else:
            yield from solvers.solve(solver, _means(guesses), x, sigmas, fresh, eta=eta)

    def edit_steps(
        self,
        rng: Rng,
        cond: Condition,
        source: Tensor,
        mask: Tensor | None = None,
        *,
        strength: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        rounds: Annotated[int, Interval(ge=1, le=100)] = 5,
        **options: Any,
    ) -> Iterator[Tensor]:
        """Change a datum: see `core.Edits`.

        The source is covered with noise and denoised again (Meng et al., 2021, arXiv:2108.01073,
        Alg. 1), from the level that leaves `strength` of the steps to do. What must stay takes the
        place of the denoiser's guess there (Wang et al., 2022, arXiv:2212.00490, Eq. 13, with a
        mask for A), so it is met exactly at the end. What is drawn fits it roughly; the better the
        more `rounds` each step is taken in, at their cost, with Euler's steps (`resampled`).
        Without a mask there is one round.
        """
        chosen = {name: o.default for name, o in sampling_options(self.sample_steps).items()}
        chosen |= options
        sigmas = self._levels(chosen["steps"], chosen["solver"])
        sigmas = sigmas[len(sigmas) - 1 - round(strength * (len(sigmas) - 1)) :]
        if len(sigmas) == 1:
            yield source
            return
        span = self._span(chosen["guide_from"], chosen["guide_to"], sigmas)
        free = _means(self._guided(cond, chosen["guidance"], span, chosen["rescale"]))

        def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
            d = free(x, sigma)
            return d if mask is None else torch.where(mask, d, source)

        x = source + sigmas[0].item() * rng.normal(*self.space.shape).to(source.dtype)
        fresh, solver, eta = partial(rng.normal, *self.space.shape), chosen["solver"], chosen["eta"]
        if mask is not None and rounds > 1:
            yield from solvers.resampled(denoiser, x, sigmas, fresh, rounds=rounds)
        else:
            yield from solvers.solve(solver, denoiser, x, sigmas, fresh, eta=eta)

    def _levels(self, steps: int, solver: str) -> Tensor:
        """Decreasing sigmas, 0 at the end; data with levels need no finer noise than these."""
        least = 0.02 if self.space.levels else 0.0
        how = {"by_rows": solver == "ancestral", "places": math.prod(self.space.shape)}
        return schedules.visited(self.law_name, steps, least, **how) * self.scale.item()

    def guided(
        self, cond: Condition, weight: float, low: float, high: float, rescale: float = 0.0
    ) -> solvers.Denoise:
        """The denoiser under conditions, for solvers: all rows of a call are at one level.

        Args:
            cond: Conditions of each row. One called "negative_NAME" is what the guess is led away
                from, instead of no NAME at all (Liu et al., 2022, arXiv:2206.01714, Eq. 12, of two
                conditions); where it is hidden, and without it, that is the hidden condition.
            weight: Of the condition; 1 is the plain conditional denoiser.
            low: Least r that is guided.
            high: Greatest r that is guided.
            rescale: See `sample_steps`.
        """
        return _means(self._guided(cond, weight, self._span(low, high), rescale))

    def _span(self, low: float, high: float, sigmas: Tensor | None = None) -> Span:
        """The least and the greatest sigma that are guided, of an interval of r.

        Where no visited level lies within (`sigmas` ends in 0, which is none), it is the one that
        is nearest to it in ln sigma, rounded as solvers pass it on.
        """
        least, most = low * self.scale.item(), high * self.scale.item()
        if sigmas is None or not 0 < most >= least:
            return least, most
        levels: list[float] = sigmas[:-1].to(self.mean.dtype).tolist()
        if any(least <= level <= most for level in levels):
            return least, most
        away = [abs(math.log(level / min(max(level, least), most))) for level in levels]
        near = levels[away.index(min(away))]
        return near, near

    def _guided(self, cond: Condition, weight: float, span: Span, rescale: float = 0.0) -> Guesses:
        """D as `guided` says, and the variance of the conditional model (see `_guess`)."""
        away = {name: cond[found] for name in cond if (found := f"negative_{name}") in cond}
        cond = {name: cond[name] for name in cond if name in self.conditions}
        if weight == 0:
            cond = {}
        if weight in (0, 1) or not cond or not self.drop:
            span = NOWHERE
        n = len(next(iter(cond.values()), ()))
        hidden = hide(cond, torch.ones(n, dtype=torch.bool, device=self.mean.device))
        both = {name: torch.cat([cond[name], away.get(name, hidden[name])]) for name in cond}

        def guesses(x: Tensor, sigma: Tensor) -> Guess:
            if not span[0] <= sigma[0].item() <= span[1]:
                d, v = self._guess(x, sigma, cond)
                return self._within(d), v
            d, v = self._guess(torch.cat([x, x]), torch.cat([sigma, sigma]), both)
            shown, blind = d.chunk(2)
            d = torch.lerp(blind, shown, weight)
            return self._within(self._rescaled(d, shown, rescale) if rescale else d), v[: len(x)]

        return guesses

    def _rescaled(self, d: Tensor, shown: Tensor, share: float) -> Tensor:
        """Guided guesses with the contrast of plain ones, about the data's mean."""
        mean, std = self._channels(d)
        return mean + std * solvers.rescaled((d - mean) / std, (shown - mean) / std, share)

    def _guess(self, x: Tensor, sigma: Tensor, cond: Condition) -> Guess:
        """D(x; sigma), not held within the range of the data, and where the variance lies."""
        mean, std = self._channels(x)
        target = self.target(like(sigma, x) / std)
        z = target.scale * (x - mean) / std
        predicted, v = self._predict(z, sigma, cond)
        return mean + std * (target.from_input * z + target.from_net * predicted), v

    def _predict(self, z: Tensor, sigma: Tensor, cond: Condition) -> Guess:
        """What the net says: its target, and where the variance lies; the target if it is fixed."""
        found = self.net(z, self._c_noise(sigma), cond)
        predicted, *v = found.chunk(2, 1) if self.learned else (found,)
        return predicted, v[0] if v else predicted

    def _chain(self, x: Tensor) -> Chain:
        return learned_variance.chain(self.law_name, self.scale.item(), self._channels(x)[1])

    def _within(self, d: Tensor) -> Tensor:
        return d.clamp(-1, 1) if self.space.levels else d

    def _c_noise(self, sigma: Tensor) -> Tensor:
        return (sigma / self.scale).log() / 4

    def _channels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *(1,) * (x.ndim - 2))
        return self.mean.view(shape), self.std.view(shape)


def _means(guesses: Guesses) -> solvers.Denoise:
    """D alone, as solvers take it."""
    return lambda x, sigma: guesses(x, sigma)[0]


def flow(
    space: Space,
    conditions: Mapping[str, Space],
    *,
    net: Net | None = None,
    law: Literal["uniform", "logit-normal"] = "uniform",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Diffusion:
    """Flow matching: predict the velocity of straight paths (Lipman et al., arXiv:2210.02747)."""
    return Diffusion(space, conditions, net=net, target="flow", law=law, drop=drop)


def edm(
    space: Space,
    conditions: Mapping[str, Space],
    *,
    net: Net | None = None,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Diffusion:
    """Diffusion with preconditioning and noise levels of Karras et al. (arXiv:2206.00364)."""
    return Diffusion(space, conditions, net=net, target="edm", law="edm", drop=drop)


def ddpm(
    space: Space,
    conditions: Mapping[str, Space],
    *,
    net: Net | None = None,
    schedule: Literal["linear", "cosine"] = "linear",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Diffusion:
    """The DDPM of textbooks: predict the noise, at the levels of a table of 1,000 betas.

    Ho et al., 2020 (arXiv:2006.11239), Alg. 1, or the cosine table of Nichol and Dhariwal, 2021
    (arXiv:2102.09672). Their own sampler is `solver="ancestral", steps=1000`.
    """
    return Diffusion(space, conditions, net=net, target="eps", law=schedule, drop=drop)
