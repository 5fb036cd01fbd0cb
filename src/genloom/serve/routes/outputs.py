"""What was made: its records, and its bytes under a policy that lets no page run in them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from genloom.serve import media
from genloom.serve.guard import allow
from genloom.serve.services import services
from genloom.serve.store import Record

router = APIRouter(prefix="/v1/outputs")
INLINE = ("image/png", "image/jpeg", "image/webp")  # all else is a download


@router.get("")
def listed(request: Request, after: str | None = None, limit: int = 50) -> dict[str, Any]:
    """The caller's outputs, the newest first."""
    caller, parts = allow(request, "generate"), services(request)
    page = parts.records.page(caller.id, after=after, limit=max(1, min(limit, 100)))
    names = {known.hash: known.name for known in parts.models.values()}
    return {
        "object": "list",
        "data": [shown(record, names) for record in page.items],
        "has_more": page.more,
    }


@router.get("/{record_id}")
def one(request: Request, record_id: str) -> dict[str, Any]:
    """One output's record."""
    caller, parts = allow(request, "generate"), services(request)
    names = {known.hash: known.name for known in parts.models.values()}
    return shown(parts.records.get(caller.id, record_id), names)


@router.get("/{record_id}/content")
def content(request: Request, record_id: str) -> Response:
    """One output's bytes."""
    caller, parts = allow(request, "generate"), services(request)
    record = parts.records.get(caller.id, record_id)
    return as_file(record, parts.records.content(caller.id, record_id))


@router.delete("/{record_id}")
def delete(request: Request, record_id: str) -> dict[str, Any]:
    """Forget an output and its bytes."""
    caller = allow(request, "generate")
    services(request).records.delete(caller.id, record_id)
    return {"id": record_id, "deleted": True}


def as_file(record: Record, found: bytes) -> Response:
    """Bytes with the type of our table, shown in place only where that is harmless."""
    plain = record.media_type.partition(";")[0]
    form = next(
        (
            form
            for form, kind in media.FORMATS[record.kind].items()
            if kind.partition(";")[0] == plain
        ),
        "bin",
    )
    how = "inline" if plain in INLINE else "attachment"
    name = media.file_name(record.id, form)
    return Response(
        found,
        media_type=record.media_type,
        headers={"content-disposition": f'{how}; filename="{name}"'},
    )


def shown(record: Record, names: dict[str, str]) -> dict[str, Any]:
    """A record as its owner reads it."""
    return {
        "id": record.id,
        "model": names.get(record.origin.model, record.origin.model[:12]),
        "model_hash": record.origin.model,
        "data_hash": record.origin.data,
        "recipe_hash": record.origin.recipe,
        "seed": record.origin.seed,
        "label": record.origin.label,
        "options": dict(record.origin.options),
        "software": dict(record.origin.software),
        "kind": record.kind,
        "media_type": record.media_type,
        "sha256": record.sha256,
        "created": int(record.created),
        "state": record.state,
        "held_for": record.held_for,
        "url": f"/v1/outputs/{record.id}/content",
    }
