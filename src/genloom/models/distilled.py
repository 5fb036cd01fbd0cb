"""Distillation: a student that takes in one step what its teacher takes many for.

Salimans and Ho, Progressive distillation, 2022 (arXiv:2202.00512), Alg. 2: a noisy datum at one of
few levels is carried by the teacher to the next of them, and the student learns the denoised guess
from which a single DDIM step arrives at the same place. They halve the number of steps again and
again, each student being the next one's teacher; here one stage does it, in which the teacher takes
steps of order 2, more of them where the noise falls by more: a student is no better than the path
it is shown. Guidance is learnt too, at one weight (Meng et al., 2022,
arXiv:2210.03142, stage one, with the weight fixed): sampling evaluates the net once a step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, final

import torch
from torch import Tensor

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
from genloom.errors import BadInput
from genloom.models.diffusion import Diffusion, Net
from genloom.models.targets import TargetName

GUIDED = 0.3, 5.0  # the levels that `Diffusion.sample_steps` guides
LAST = 0.02  # the level from which a teacher goes to 0 in one step, or a sixteenth of its start


@final
class Distilled(Generative):
    """A denoiser at few noise levels, which samples in as many evaluations.

    Its weights start as the teacher's, whose net and target it must share. The teacher is needed
    for training alone: it is no part of the weights, nor of the artifact.

    Args:
        space: One datum, (C, *spatial).
        conditions: Name -> space.
        net: As for `Diffusion`, and as the teacher's.
        target: What the net predicts, as the teacher's does.
        teacher: A trained flow, diffusion, ddpm or edm: a run, its model folder, or its name. None:
            the datum itself takes the place of the teacher's guess. That is a plain denoiser of so
            few levels, what distillation is to be compared with.
        steps: Evaluations of a sample.
        bend: Levels are t = 1 - (i / steps)^bend, as a share of the first one: 1 has them even,
            above it the first jumps, from almost pure noise, are shorter.
        pace: Steps of the teacher, of two evaluations, while the noise falls to a third (1 / e).
        guidance: Weight of the condition in the teacher's guess; 1 is the plain model.
        drop: Share of training rows whose conditions are hidden.
    """

    recommended: ClassVar[Mapping[str, Any]] = {
        **Diffusion.recommended,
        "lr": 3e-4,
        "batch": 64,
    }
    space: Real

    def __init__(
        self,
        space: Space,
        conditions: Mapping[str, Space],
        *,
        net: Net | None = None,
        target: TargetName = "flow",
        teacher: str | None = None,
        steps: Annotated[int, Interval(ge=1, le=64)] = 4,
        bend: Annotated[float, Interval(ge=0.5, le=4)] = 1.0,
        pace: Annotated[int, Interval(ge=1, le=64)] = 1,
        guidance: Annotated[float, Interval(ge=0, le=20)] = 1.5,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        self.student = Diffusion(space, conditions, net=net, target=target, drop=drop)
        self.source, self.pace, self.guidance, self.drop = teacher, pace, guidance, drop
        _, high = schedules.span(self.student.law_name)
        self.levels = few(steps, high, bend)
        self._held: list[Diffusion] = []  # the teacher, where no state_dict sees it

    @staticmethod
    def usual_net(space: Real) -> Net:
        """That of `Diffusion`."""
        return Diffusion.usual_net(space)

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Take the teacher's weights, or measure the data where there is no teacher.

        Raises:
            BadInput: The teacher is not of the same build.
        """
        if self.source is None:
            self.student.prepare(x, cond)
        else:
            self.student.load_state_dict(self._teacher(x.device).state_dict())

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Mean square error of what the net predicts, at levels that are equally often drawn."""
        n = len(x)
        steps = len(self.levels) - 1
        place = (stratified(n, device=x.device) * steps).long().clamp(max=steps - 1)
        sigma = self._sigmas.to(x)[place]
        if self.drop and cond:
            cond = hide(cond, stratified(n, device=x.device) < self.drop)
        noisy = x + like(sigma, x) * normal_like(x)
        wanted = x if self.source is None else self._taught(noisy, place, cond)
        return {"distilled": self.student.error(noisy, sigma, wanted, cond).mean()}

    def sample_steps(self, rng: Rng, cond: Condition) -> Iterator[Tensor]:
        """Yield the denoised guess at each level; the last one is the sample.

        Args:
            rng: One stream per sample.
            cond: Conditions of each sample.
        """
        sigmas = self._sigmas
        x = self.student.start(rng, sigmas[0].item())
        yield from solvers.euler(lambda x, s: self.student.denoise(x, s, cond), x, sigmas)

    @property
    def _sigmas(self) -> Tensor:
        return self.levels * self.student.scale.item()

    @torch.no_grad()
    def _taught(self, noisy: Tensor, place: Tensor, cond: Condition) -> Tensor:
        """The guess from which one step of DDIM arrives where the teacher's steps do.

        Salimans and Ho, Alg. 2 with x = z / alpha: after = guess + (t / s) (noisy - guess).
        """
        teacher, wanted = self._teacher(noisy.device), torch.empty_like(noisy)
        scale = self.student.scale.item()
        for i in place.unique().tolist():
            rows, (start, end) = place == i, self.levels[i : i + 2].tolist()
            path = between(start, end, self.pace)
            given = {name: value[rows] for name, value in cond.items()}
            denoiser = teacher.guided(given, self.guidance, *GUIDED)
            after = solvers.carried(denoiser, noisy[rows], path * scale)
            left = float(path[-1] / path[0])  # of the noise, t / s
            wanted[rows] = (after - left * noisy[rows]) / (1 - left)
        return wanted

    def _teacher(self, device: torch.device) -> Diffusion:
        """The teacher, loaded when it is first asked for: a run that goes on asks anew."""
        if not self._held:
            self._held.append(_loaded(str(self.source), self.student))
        return self._held[0].to(device)


def few(steps: int, high: float, bend: float = 1.0) -> Tensor:
    """Levels r from the highest to 0, t = r / (1 + r) as `Distilled` says: (steps + 1,) float64."""
    gone = torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** bend
    t = high / (1 + high) * (1 - gone)
    return t / (1 - t)


def between(start: float, end: float, pace: int) -> Tensor:
    """Levels of a teacher's steps between two levels: even in t, or as Karras's towards 0."""
    goal = end or min(LAST, start / 16)
    steps = max(1, round(pace * math.log(start / goal)))
    if not end:
        return schedules.karras(steps, goal, start)
    t = torch.linspace(start / (1 + start), end / (1 + end), steps + 1, dtype=torch.float64)
    return t / (1 - t)


def _loaded(source: str, student: Diffusion) -> Diffusion:
    from genloom import artifact

    model = artifact.load(source, device="cpu").model
    if not isinstance(model, Diffusion):
        raise BadInput(
            f"{source} is a {type(model).__name__}: a teacher is a flow, diffusion, ddpm or edm."
        )
    if model.space != student.space or model.conditions != student.conditions:
        raise BadInput(
            f"{source} makes {model.space} given {model.conditions}, the student {student.space} "
            f"given {student.conditions}. Train on the teacher's data, with its codec."
        )
    if model.target_name != student.target_name:
        raise BadInput(
            f"{source} predicts {model.target_name}, the student {student.target_name}. "
            f'Set model.target = "{model.target_name}".'
        )
    shapes, wanted = ({k: v.shape for k, v in m.state_dict().items()} for m in (model, student))
    if shapes != wanted:
        raise BadInput(
            f"{source} has another net than the student. Set model.net to what the teacher's "
            "recipe.toml has there."
        )
    return model.requires_grad_(False)
