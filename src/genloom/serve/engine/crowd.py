"""Requests that sample together: what is checked of each, and how their rows make one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from genloom.artifact import Artifact
from genloom.core import Condition, Rng, Tokens, check_options
from genloom.errors import BadInput, nearest
from genloom.sampling import device_of
from genloom.serve.engine.messages import Done, Request

PAD = 4
"""Batches are filled up to a multiple of this many rows, by repeating the last one.

The kernels of a CPU sum in another order for the rows that a block of theirs leaves over: without
this a sample differs in its last bits, and now and then in a pixel, with the number of its
neighbours. With whole blocks it does not.
"""


@runtime_checkable
class Completes(Protocol):
    """A model that draws one token after the other, and can go on from given ones."""

    length: int
    vocab: int

    def complete(
        self, rng: Rng, cond: Condition, given: Tensor, **options: Any
    ) -> Iterator[Tensor]:
        """As `sample_steps`, after the tokens given, (len(rng), P)."""
        ...


@dataclass(eq=False)
class Job:
    """A request that waits or runs.

    Args:
        request: As it came.
        artifact: Of its model.
        options: All of the model's, with its defaults.
        cond: Name -> (n, ...).
        since: When it came, in seconds of the batcher's clock.
        told: The step up to which its news have been sent.
        live: Whether somebody still waits for it.
    """

    request: Request
    artifact: Artifact
    options: dict[str, Any]
    cond: Condition
    since: float
    told: int = 0
    live: bool = True

    @property
    def rows(self) -> int:
        """How many samples it wants."""
        return len(self.request.seeds)

    @property
    def company(self) -> tuple[Any, ...]:
        """Equal for requests that can share a batch."""
        options = tuple(sorted(self.options.items()))
        return self.request.model, options, len(self.request.prompt), tuple(sorted(self.cond))

    def done(self, x: Tensor) -> Done:
        """Its last event, from its own rows of the samples."""
        request, label = self.request, self.cond.get("label")
        first = self.artifact.records(1, seed=request.seeds[0], **self.options)[0]
        first |= {"batch": str(PAD)} | (
            {"prompt": " ".join(map(str, request.prompt))} if request.prompt else {}
        )
        labels = [""] * self.rows if label is None else [str(int(one)) for one in label]
        told = [
            first | {"seed": str(seed), "label": one} for seed, one in zip(request.seeds, labels)
        ]
        return Done(request.id, self.artifact.codec.decode(x.cpu()), told)


def admit(request: Request, artifact: Artifact, rows: int, now: float) -> Job:
    """The job of a request that its model can carry out.

    Args:
        request: Any.
        artifact: Of the model that it names.
        rows: The most that a batch holds.
        now: See `Job.since`.

    Raises:
        BadInput: It asks for what the model does not have, or for too much at once.
    """
    if len(request.seeds) > rows:
        raise BadInput(
            f"{len(request.seeds)} samples of {request.model!r} in one request: at most {rows} "
            "are made together. Ask for the rest in further requests."
        )
    options = artifact.options() | check_options(artifact.model.sample_steps, request.options)
    _check_tokens(request, artifact.model)
    return Job(request, artifact, options, _condition(request, artifact), now)


def _check_tokens(request: Request, model: Any) -> None:
    if not isinstance(model, Completes):
        if request.prompt or request.tokens:
            raise BadInput(
                f"{request.model!r} does not draw token by token: it takes no prompt and sends no "
                "tokens. Ask for previews instead."
            )
        return
    if len(request.prompt) >= model.length:
        raise BadInput(
            f"the prompt has {len(request.prompt)} tokens, and {request.model!r} makes "
            f"{model.length} in all: give at most {model.length - 1}."
        )
    if request.prompt and not 0 <= min(request.prompt) <= max(request.prompt) < model.vocab:
        raise BadInput(f"the tokens of a prompt must lie in [0, {model.vocab - 1}].")


def _condition(request: Request, artifact: Artifact) -> Condition:
    known = artifact.model.conditions
    if request.label is not None and "label" in request.condition:
        raise BadInput("the label is given twice: as a label and as a condition. Give one.")
    label = list(request.label) if isinstance(request.label, tuple) else request.label
    cond = dict(artifact.condition(request.seeds, label))
    for name, value in request.condition.items():
        if name not in known:
            raise BadInput(f"there is no condition {name!r}{nearest(name, known)}")
        space, shape = known[name], (len(request.seeds), *known[name].shape)
        if tuple(value.shape) != shape:
            raise BadInput(f"{name} has the shape {tuple(value.shape)}: it must be {shape}.")
        if isinstance(space, Tokens):
            if value.is_floating_point() or not -1 <= int(value.min()) <= value.max() < space.vocab:
                raise BadInput(f"{name} holds whole numbers in [-1, {space.vocab - 1}].")
            value = value.long()
        elif not value.is_floating_point():
            raise BadInput(f"{name} is {value.dtype}: real numbers are needed.")
        cond[name] = value if isinstance(space, Tokens) else value.float()
    return cond


@dataclass(eq=False)
class Batch:
    """Jobs of equal company; their rows lie one after the other, in this order."""

    jobs: list[Job]
    index: int = 0  # steps that were taken
    x: Tensor | None = None  # the last guess
    steps: Iterator[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        first = self.jobs[0]
        model: Any = first.artifact.model
        device = device_of(model)
        seeds = [seed for job in self.jobs for seed in job.request.seeds]
        padding = -len(seeds) % PAD
        rng = Rng(seeds + seeds[-1:] * padding, device)
        cond = {
            name: _padded(torch.cat([job.cond[name] for job in self.jobs]), padding).to(device)
            for name in first.cond
        }
        if self.known:
            prompts = [job.request.prompt for job in self.jobs for _ in job.request.seeds]
            given = _padded(torch.tensor(prompts), padding).to(device)
            self.steps = iter(model.complete(rng, cond, given, **first.options))
        else:
            self.steps = iter(model.sample_steps(rng, cond, **first.options))

    @property
    def known(self) -> int:
        """Tokens that were given."""
        return len(self.jobs[0].request.prompt)

    @property
    def total(self) -> int:
        """How many steps there will be, as far as the model and its options tell."""
        first = self.jobs[0]
        if isinstance(first.artifact.model, Completes):
            return first.artifact.model.length - self.known
        return first.options.get("steps", 1)

    @property
    def live(self) -> bool:
        """Whether anybody still waits for it."""
        return any(job.live for job in self.jobs)

    def parts(self) -> Iterator[tuple[Job, slice]]:
        """The jobs that somebody waits for, each with its rows."""
        start = 0
        for job in self.jobs:
            if job.live:
                yield job, slice(start, start + job.rows)
            start += job.rows


def _padded(rows: Tensor, padding: int) -> Tensor:
    return torch.cat([rows, rows[-1:].expand(padding, *rows.shape[1:])])
