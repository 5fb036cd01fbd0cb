"""Long work, which goes on when its caller has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from genloom.serve.events import Named, streamed
from genloom.serve.guard import allow
from genloom.serve.orders import CHECKS, Kind
from genloom.serve.problems import Problem
from genloom.serve.runner import LANES
from genloom.serve.services import Services, services
from genloom.serve.store import Job
from genloom.serve.trainings import run_of

router = APIRouter(prefix="/v1/jobs")


class Body(BaseModel):
    """A kind of work, and what it needs."""

    kind: Kind
    body: dict[str, Any] = Field(default_factory=dict)


@router.post("")
def add(request: Request, given: Body) -> dict[str, Any]:
    """Put a job at the end of the queue, checked before it waits."""
    scope, form, check = CHECKS[given.kind]
    caller, parts = allow(request, scope), services(request)
    try:
        body = check(parts, caller, form.model_validate(given.body))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    return shown(parts, parts.jobs.add(caller.id, given.kind, body))


@router.post("/{job_id}/resume")
def resume(request: Request, job_id: str) -> dict[str, Any]:
    """A new job that goes on with a training that was cancelled or has failed."""
    caller, parts = allow(request, "train"), services(request)
    job = parts.jobs.get(caller.id, job_id)
    if job.kind != "train" or job.state not in ("cancelled", "failed"):
        text = f"this job is a {job.kind} that is {job.state}: only a training that was cancelled "
        raise Problem(400, f"{text}or has failed can go on.", code="not_resumable")
    run_of(parts.folders, job)
    if job.body["name"] in parts.models:
        raise Problem(400, f"{job.body['name']!r} is trained already.", code="not_resumable")
    return shown(parts, parts.jobs.add(caller.id, "train", {**job.body, "resumes": job.id}))


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
    lane = next((kinds for kinds in LANES if job.kind in kinds), ())
    ahead = parts.jobs.ahead(job.owner, job.id, lane) if job.state == "queued" else 0
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
