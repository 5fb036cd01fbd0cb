"""Files that people send, by id."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from genloom.serve.guard import allow
from genloom.serve.problems import Problem
from genloom.serve.services import services
from genloom.serve.store import File

router = APIRouter(prefix="/v1/files")
PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")


@router.post("")
async def add(
    request: Request, file: UploadFile, purpose: Annotated[str, Form()] = "user_data"
) -> dict[str, Any]:
    """Keep a file."""
    caller = allow(request, "generate")
    if purpose not in PURPOSES:
        raise Problem(400, f"purpose is one of {', '.join(PURPOSES)}.", param="purpose")
    content, name = await file.read(), file.filename or "file"
    kept = await run_in_threadpool(services(request).files.add, caller.id, name, purpose, content)
    return shown(kept)


@router.get("")
def listed(request: Request, after: str | None = None, limit: int = 20) -> dict[str, Any]:
    """The caller's files, the newest first."""
    caller = allow(request, "generate")
    page = services(request).files.page(caller.id, after=after, limit=max(1, min(limit, 100)))
    data = [shown(file) for file in page.items]
    return {
        "object": "list",
        "data": data,
        "has_more": page.more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


@router.get("/{file_id}")
def one(request: Request, file_id: str) -> dict[str, Any]:
    """One file."""
    caller = allow(request, "generate")
    return shown(services(request).files.get(caller.id, file_id))


@router.get("/{file_id}/content")
def content(request: Request, file_id: str) -> Response:
    """Its bytes, as a download whatever they are."""
    caller = allow(request, "generate")
    return Response(
        services(request).files.content(caller.id, file_id),
        media_type="application/octet-stream",
        headers={"content-disposition": f'attachment; filename="{file_id}.bin"'},
    )


@router.delete("/{file_id}")
def delete(request: Request, file_id: str) -> dict[str, Any]:
    """Forget a file."""
    caller = allow(request, "generate")
    services(request).files.delete(caller.id, file_id)
    return {"id": file_id, "object": "file", "deleted": True}


def shown(file: File) -> dict[str, Any]:
    """In OpenAI's form."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }
