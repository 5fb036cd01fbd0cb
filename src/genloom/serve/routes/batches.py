"""Batches in OpenAI's form: a file of requests in, a file of answers out, within a day."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from genloom.serve.batches import ENDPOINTS
from genloom.serve.guard import allow
from genloom.serve.problems import Problem
from genloom.serve.services import services
from genloom.serve.store import Batch

router = APIRouter(prefix="/v1/batches")
TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class Body(BaseModel):
    """What a new batch needs."""

    input_file_id: str = Field(max_length=200)
    endpoint: str = Field(max_length=100)
    completion_window: Literal["24h"]
    metadata: dict[str, str] | None = Field(None, max_length=16)


@router.post("")
def add(request: Request, body: Body) -> dict[str, Any]:
    """Put a file of requests into the queue."""
    caller, parts = allow(request, "generate"), services(request)
    if body.endpoint not in ENDPOINTS:
        known = ", ".join(ENDPOINTS)
        raise Problem(400, f"a batch goes to one of {known}.", param="endpoint")
    batch = parts.batches.add(caller.id, body.input_file_id, body.endpoint, body.metadata or {})
    parts.jobs.add(caller.id, "batch", {"batch": batch.id})
    return shown(batch)


@router.get("")
def listed(request: Request, after: str | None = None, limit: int = 20) -> dict[str, Any]:
    """The caller's batches, the newest first."""
    caller = allow(request, "generate")
    page = services(request).batches.page(caller.id, after=after, limit=max(1, min(limit, 100)))
    data = [shown(batch) for batch in page.items]
    ends = {
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
    return {"object": "list", "data": data, "has_more": page.more, **ends}


@router.get("/{batch_id}")
def one(request: Request, batch_id: str) -> dict[str, Any]:
    """One batch."""
    caller = allow(request, "generate")
    return shown(services(request).batches.get(caller.id, batch_id))


@router.post("/{batch_id}/cancel")
def cancel(request: Request, batch_id: str) -> dict[str, Any]:
    """Stop a batch; what was answered until then is filed."""
    caller = allow(request, "generate")
    return shown(services(request).batches.cancel(caller.id, batch_id))


def shown(batch: Batch) -> dict[str, Any]:
    """In OpenAI's form."""
    times = {f"{name}_at": _whole(batch.times.get(name)) for name in TIMES}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": batch.errors,
        "input_file_id": batch.input_file,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": int(batch.created),
        "expires_at": int(batch.expires),
        **times,
        "request_counts": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "metadata": dict(batch.metadata),
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
