"""Long work, which goes on when its caller has gone."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from genloom.catalog import CATALOG
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


class Body(BaseModel):
    """A kind of work, and what it needs."""

    kind: Literal["sample", "train", "evaluate", "compare"]
    body: dict[str, Any] = Field(default_factory=dict)


@router.post("")
def add(request: Request, given: Body) -> dict[str, Any]:
    """Put a job at the end of the queue, checked before it waits."""
    caller, parts = allow(request, SCOPES[given.kind]), services(request)
    body = CHECKS[given.kind](parts, given.body)
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

    return await streamed(changes())


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


def _sample(parts: Services, body: dict[str, Any]) -> dict[str, Any]:
    known, limits = named(parts.models, body.get("model")), parts.settings.limits
    n = _number(body, "n", 1, limits.job_samples, whole=True)
    seed = body.get("seed")
    seed = secrets.randbelow(2**31) if seed is None else seed
    if type(seed) is not int or not 0 <= seed < 2**62:
        raise Problem(400, f"seed = {str(seed)[:30]}: it must be in [0, 2^62).", param="seed")
    label_of(known, body.get("label"))
    prompt_of(known, str(body.get("prompt") or ""), limits)
    known.chosen(body.get("options") or {}, most_steps=limits.steps)
    media.media_type(known.items.kind, body.get("format"))
    return {**body, "model": known.name, "n": int(n), "seed": seed}


def _train(parts: Services, body: dict[str, Any]) -> dict[str, Any]:
    family, name = str(body.get("family")), str(body.get("name"))
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
    minutes = _number(body, "minutes", 0.05, 24 * 60)
    if not isinstance(body.get("data"), str):
        raise Problem(400, "data is the name of a built-in set or the id of a file.", param="data")
    return {"data": body["data"], "family": family, "name": name, "minutes": minutes}


def _judge(parts: Services, body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("models") or [body.get("model")]
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise Problem(400, "models is a list of names.", param="models")
    return {"models": [named(parts.models, name).name for name in given], "n": body.get("n")}


def _number(
    body: dict[str, Any], name: str, low: float, high: float, *, whole: bool = False
) -> Any:
    value = body.get(name)
    kinds = (int,) if whole else (int, float)
    if type(value) not in kinds or not low <= value <= high:  # pyright: ignore
        raise Problem(
            400, f"{name} = {str(value)[:30]}: it must be {low:g} to {high:g}.", param=name
        )
    return value


CHECKS = {"sample": _sample, "train": _train, "evaluate": _judge, "compare": _judge}
