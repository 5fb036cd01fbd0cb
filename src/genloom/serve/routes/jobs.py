"""Long work, which goes on when its caller has gone."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from genloom.catalog import CATALOG
from genloom.data.builtin import BUILTIN
from genloom.serve import media
from genloom.serve.events import Named, streamed
from genloom.serve.guard import allow
from genloom.serve.known import named
from genloom.serve.making import label_of, prompt_of
from genloom.serve.problems import Problem
from genloom.serve.runner import SCOPES
from genloom.serve.services import Services, services
from genloom.serve.store import Job

router = APIRouter(prefix="/v1/jobs")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Sample(BaseModel, strict=True, extra="forbid"):
    """What a job of samples needs."""

    model: str | None = None
    n: int
    seed: int | None = Field(None, ge=0, lt=2**62)
    label: str | int | None = None
    prompt: str = ""
    format: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Train(BaseModel, strict=True, extra="forbid"):
    """What a training needs."""

    data: str
    family: str
    name: str
    minutes: float = Field(ge=0.05, le=24 * 60)


class Judge(BaseModel, strict=True, extra="forbid"):
    """What a verdict needs."""

    model: str | None = None
    models: list[str] = Field(default_factory=list, max_length=100)
    n: int | None = Field(None, ge=1, le=10**6)


class Body(BaseModel):
    """A kind of work, and what it needs."""

    kind: Literal["sample", "train", "evaluate", "compare"]
    body: dict[str, Any] = Field(default_factory=dict)


@router.post("")
def add(request: Request, given: Body) -> dict[str, Any]:
    """Put a job at the end of the queue, checked before it waits."""
    caller, parts = allow(request, SCOPES[given.kind]), services(request)
    form, check = CHECKS[given.kind]
    try:
        body = check(parts, form.model_validate(given.body))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    if given.kind == "train" and body["data"] not in BUILTIN:
        parts.files.get(caller.id, body["data"])  # an own file's id, or there is no such file
    return shown(parts, parts.jobs.add(caller.id, given.kind, body))


@router.get("")
def listed(request: Request, after: str | None = None, limit: int = 20) -> dict[str, Any]:
    """The caller's jobs, the newest first."""
    caller, parts = allow(request, "generate"), services(request)
    page = parts.jobs.page(caller.id, after=after, limit=max(1, min(limit, 100)))
    return {
        "object": "list",
        "data": [shown(parts, job) for job in page.items],
        "has_more": page.more,
    }


@router.get("/{job_id}")
def one(request: Request, job_id: str) -> dict[str, Any]:
    """A job as it stands."""
    caller, parts = allow(request, "generate"), services(request)
    return shown(parts, parts.jobs.get(caller.id, job_id))


@router.delete("/{job_id}")
def cancel(request: Request, job_id: str) -> dict[str, Any]:
    """Stop a job: at once where it waits, within a second where it runs."""
    caller, parts = allow(request, "generate"), services(request)
    return shown(parts, parts.jobs.cancel(caller.id, job_id))


@router.get("/{job_id}/events")
async def watch(request: Request, job_id: str) -> Response:
    """The job whenever it changes, until it ends."""
    caller, parts = allow(request, "generate"), services(request)

    async def changes() -> AsyncGenerator[Named]:
        before: dict[str, Any] | None = None
        while True:
            job = shown(parts, await asyncio.to_thread(parts.jobs.get, caller.id, job_id))
            if job != before:
                yield "job", job
            if job["finished"] is not None:
                return
            before = job
            await asyncio.sleep(0.3)

    return await streamed(request, changes())


def shown(parts: Services, job: Job) -> dict[str, Any]:
    """A job as its owner reads it."""
    ahead = parts.jobs.ahead(job.owner, job.id) if job.state == "queued" else 0
    return {
        "id": job.id,
        "object": "job",
        "kind": job.kind,
        "body": dict(job.body),
        "state": job.state,
        "cancelling": job.cancelling,
        "progress": round(job.progress, 4),
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "result": job.result,
        "error": job.error,
        "ahead": ahead,
    }


def _sample(parts: Services, given: Sample) -> dict[str, Any]:
    known, limits = named(parts.models, given.model), parts.settings.limits
    if not 1 <= given.n <= limits.job_samples:
        raise Problem(400, f"n = {given.n}: it must be 1 to {limits.job_samples}.", param="n")
    label_of(known, given.label)
    prompt_of(known, given.prompt, limits)
    known.chosen(given.options, most_steps=limits.steps)
    media.media_type(known.items.kind, given.format)
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    if seed + given.n > 2**62:
        raise Problem(400, f"seed = {seed}: the last seed must be below 2^62.", param="seed")
    return given.model_dump(exclude_defaults=True) | {"model": known.name, "seed": seed}


def _train(parts: Services, given: Train) -> dict[str, Any]:
    family, name = given.family, given.name
    if family not in CATALOG or CATALOG[family].kind != "model":
        families = [key for key, entry in CATALOG.items() if entry.kind == "model"]
        raise Problem(
            400,
            f"there is no family {family[:40]!r}. Known: {', '.join(families)}.",
            param="family",
        )
    if not NAME.fullmatch(name) or name in parts.models:
        taken = "is taken" if name in parts.models else "is not a-z 0-9 . _ -"
        raise Problem(400, f"the name {name[:70]!r} {taken}.", param="name")
    return given.model_dump()


def _judge(parts: Services, given: Judge) -> dict[str, Any]:
    models = [named(parts.models, name).name for name in given.models or [given.model]]
    return {"models": models, "n": given.n}


CHECKS: dict[str, tuple[type[BaseModel], Callable[[Services, Any], dict[str, Any]]]] = {
    "sample": (Sample, _sample),
    "train": (Train, _train),
    "evaluate": (Judge, _judge),
    "compare": (Judge, _judge),
}
