"""Requests that sample together: how their rows make one batch, and what each gets of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genloom.artifact import Artifact
from genloom.conditions import hash_of
from genloom.core import Condition, Rng, Walk
from genloom.decoding.constraints import Constraint
from genloom.sampling import device_of
from genloom.serve.engine.messages import Done, Encoded, Event, Preview
from genloom.serve.engine.request import Encode, Request

PAD = 4
"""Batches are filled up to a multiple of this many rows, by repeating the last one.

The kernels of a CPU sum in another order for the rows that a block of theirs leaves over: without
this a sample differs in its last bits, and now and then in a pixel, with the number of its
neighbours. With whole blocks it does not.
"""


@dataclass(eq=False)
class Job:
    """A request that waits or runs.

    Args:
        request: As it came.
        artifact: Of its model.
        options: All of the model's, with its defaults.
        cond: Name -> (n, ...).
        since: When it came, in seconds of the batcher's clock.
        constraint: The form that its samples are to have.
        told: The step up to which its news have been sent.
        live: Whether somebody still waits for it.
    """

    request: Request | Encode
    artifact: Artifact
    options: dict[str, Any]
    cond: Condition
    since: float
    constraint: Constraint | None = None
    told: int = 0
    live: bool = True

    @property
    def rows(self) -> int:
        """How many samples it wants."""
        asked = self.request
        return len(asked.items) if isinstance(asked, Encode) else len(asked.seeds)

    @property
    def company(self) -> tuple[Any, ...]:
        """Equal for requests that can share a batch."""
        asked = self.request
        if isinstance(asked, Encode):
            return asked.model, "encode"
        more = () if asked.source is None else (asked.mask is None, asked.strength)
        given = asked.latent is not None, asked.source is not None
        return (
            asked.model,
            tuple(sorted(self.options.items())),
            tuple(sorted(self.cond)),
            given,
            more,
        )

    def done(
        self,
        x: Tensor,
        template: dict[str, str],
        lengths: Sequence[int] = (),
        stopped: Sequence[bool] = (),
        after: Sequence[list[int]] = (),
        *,
        crowd: int,
    ) -> Done:
        """Its last event.

        Args:
            x: Its own rows of the samples.
            template: What the records of all of its company say.
            lengths: See `Done`.
            stopped: See `Done`.
            after: See `Done`.
            crowd: See `Done`.
        """
        request, label = self.request, self.cond.get("label")
        assert isinstance(request, Request)
        shared = template | {"batch": str(PAD)} | told_of(request)
        records = [
            shared | {"seed": str(seed), "label": "" if label is None else str(int(label[i]))}
            for i, seed in enumerate(request.seeds)
        ]
        sources = self.cond["source"] if "source" in request.condition else None
        for i, record in enumerate(records):
            if sources is not None:
                record["source"] = hash_of(sources[i])
            if request.toward is not None:
                record |= {"toward": str(request.toward), "mix": str(float(request.mix[i]))}
            if request.latent is not None:
                record["latent"] = json.dumps(request.latent[i].tolist())
            if stopped and (stopped[i] or request.most is not None):
                record["length"] = str(lengths[i])
        items = self.artifact.codec.decode(x.cpu())
        ends = list(lengths), list(stopped)
        return Done(request.id, items, records, *ends, crowd=crowd, after=list(after))


def told_of(request: Request) -> dict[str, str]:
    """What the record of each of its samples says of the request."""
    told = {"prompt": " ".join(map(str, request.prompt))} if request.prompt else {}
    told |= dict([request.grammar]) if request.grammar else {}
    told |= {"logit_bias": json.dumps(request.logit_bias)} if request.logit_bias else {}
    for name, tensor in (("source", request.source), ("mask", request.mask)):
        if tensor is not None:
            raw = tensor.cpu().contiguous().numpy().tobytes()
            told[name] = hashlib.sha256(raw).hexdigest()
    return told | ({} if request.source is None else {"strength": str(float(request.strength))})


def template_of(job: Job) -> dict[str, str]:
    """What the records of all of a job's company say."""
    source = job.cond.get("source")
    first = None if source is None else source[:1]
    told = job.artifact.records(1, source=first, **job.options)[0]
    return {name: value for name, value in told.items() if name != "source"}  # each has its own


@dataclass(eq=False)
class Batch:
    """Jobs of equal company; their rows lie one after the other, in this order."""

    jobs: list[Job]
    since: float  # when it began, in seconds of the batcher's clock
    index: int = 0  # steps that were taken
    x: Tensor | None = None  # the last guess
    over: bool = False  # every job has had its last event
    steps: Iterator[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.steps = _encoding(self.jobs) if self._encodes else _sampling(self.jobs)

    @property
    def company(self) -> tuple[Any, ...]:
        """Of its jobs."""
        return self.jobs[0].company

    @property
    def begun(self) -> list[Job]:
        """Jobs that take part."""
        return [job for job in self.jobs if job.live]

    @property
    def live(self) -> bool:
        """Whether anybody still waits for it."""
        return any(job.live for job in self.jobs)

    def rest(self) -> list[Batch]:
        """Jobs that have not begun: none."""
        return []

    def apart(self) -> list[Batch]:
        """The same again, each job on its own."""
        return [Batch([job], self.since) for job in self.begun]

    def step(self) -> list[Event]:
        """One more guess, and what is new with it."""
        x = next(self.steps, None)
        if x is not None:
            return self._news(x)
        self.over = True
        assert self.x is not None, "at least one guess is made"
        if self._encodes:
            values = self.x.flatten(1).float()
            return [Encoded(job.request.id, values[part]) for job, part in self._parts()]
        template, crowd = template_of(self.jobs[0]), sum(job.rows for job in self.jobs)
        return [job.done(self.x[part], template, crowd=crowd) for job, part in self._parts()]

    def _news(self, x: Tensor) -> list[Event]:
        self.index, self.x = self.index + 1, x
        total, events = self.jobs[0].options.get("steps", 1), []
        for job, part in self._parts():
            if self.index <= job.told or isinstance(job.request, Encode):
                continue  # told before its batch was begun again
            if shown(self.index, total, job.request.previews):
                items = job.artifact.codec.decode(x[part].cpu())
                events.append(Preview(job.request.id, self.index, items))
        for job in self.begun:  # only now: an error above brings all of them here again
            job.told = max(job.told, self.index)
        return events

    @property
    def _encodes(self) -> bool:
        return isinstance(self.jobs[0].request, Encode)

    def _parts(self) -> Iterator[tuple[Job, slice]]:
        """The jobs that somebody waits for, each with its rows."""
        start = 0
        for job in self.jobs:
            if job.live:
                yield job, slice(start, start + job.rows)
            start += job.rows


def _sampling(jobs: Sequence[Job]) -> Iterator[Tensor]:
    """Guesses at the samples of jobs that ask for them in one and the same way."""
    first = jobs[0]
    model: Any = first.artifact.model
    device = device_of(model)
    requests = [job.request for job in jobs if isinstance(job.request, Request)]
    rng = streams(requests, device)
    cond = {name: _filled([job.cond[name] for job in jobs]).to(device) for name in first.cond}
    if requests[0].latent is not None:
        z = _filled([request.latent for request in requests if request.latent is not None])
        yield model.decode(z.to(device), cond)
    elif requests[0].source is not None:
        source = _filled([_each(job, "source", job.rows) for job in jobs])
        x = first.artifact.codec.encode(source).to(device)
        mask = None
        if requests[0].mask is not None:
            mask = _filled([_each(job, "mask", job.rows) for job in jobs])[:, None].to(device)
        strength = requests[0].strength
        yield from model.edit_steps(rng, cond, x, mask, strength=strength, **first.options)
    else:
        yield from model.sample_steps(rng, cond, **first.options)


def _encoding(jobs: Sequence[Job]) -> Iterator[Tensor]:
    first = jobs[0]
    model: Any = first.artifact.model
    items = _filled([job.request.items for job in jobs if isinstance(job.request, Encode)])
    yield model.encode(first.artifact.codec.encode(items).to(device_of(model)), {})


def streams(requests: Sequence[Request], device: torch.device, *, fill: int = PAD) -> Rng:
    """The random numbers of requests: a stream for each seed, filled up to a multiple of `fill`."""
    seeds = [seed for request in requests for seed in request.seeds]
    fill = -len(seeds) % fill
    if all(request.toward is None for request in requests):
        return Rng(seeds + seeds[-1:] * fill, device)
    toward, mix = [], []
    for request in requests:
        n = len(request.seeds)
        toward += request.seeds if request.toward is None else [request.toward] * n
        mix += request.mix or [0.0] * n
    seeds, toward, mix = (part + part[-1:] * fill for part in (seeds, toward, mix))
    return Walk(seeds, toward, mix, device)


def _each(job: Job, name: str, n: int) -> Tensor:
    given = getattr(job.request, name)
    return given.expand(n, *given.shape[1:])


def _filled(parts: Sequence[Tensor]) -> Tensor:
    """One after the other, and the last row again until the block is full."""
    rows = torch.cat(list(parts))
    return torch.cat([rows, rows[-1:].expand(-len(rows) % PAD, *rows.shape[1:])])


def shown(step: int, total: int, previews: int) -> bool:
    """Whether a preview is due after a step, for previews at even distances; never of the last."""
    parts = previews + 1
    return step < total and step * parts // total > (step - 1) * parts // total
