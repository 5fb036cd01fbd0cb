"""What was made: its records, and its bytes under a policy that lets no page run in them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from genloom.serve import media
from genloom.serve.events import collected
from genloom.serve.guard import allow
from genloom.serve.known import Known
from genloom.serve.originals import LONGEST, sent_as_text
from genloom.serve.problems import Problem
from genloom.serve.reproduce import CannotReproduce, Comparison, remake
from genloom.serve.services import Services, services
from genloom.serve.store import Record

router = APIRouter(prefix="/v1/outputs")
INLINE = ("image/png", "image/jpeg", "image/webp")  # all else is a download


class Again(BaseModel):
    """The picture that an output was made from, and its mask, as when it was asked for."""

    source: str | None = Field(None, max_length=LONGEST)
    mask: str | None = Field(None, max_length=LONGEST)


@router.get("")
def listed(
    request: Request, model: str | None = None, after: str | None = None, limit: int = 50
) -> dict[str, Any]:
    """The caller's outputs, of the model of a name or of a hash or of all, the newest first."""
    caller, parts = allow(request, "generate"), services(request)
    known = parts.models.get(model) if model else None
    made_by, most = known.hash if known else model, max(1, min(limit, 100))
    page = parts.records.page(caller.id, model=made_by, after=after, limit=most)
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


@router.get("/{record_id}/provenance")
def provenance(request: Request, record_id: str) -> Response:
    """The signed sidecar of an output that can carry no marks inside, such as a text."""
    caller, parts = allow(request, "generate"), services(request)
    record = parts.records.get(caller.id, record_id)
    found = parts.maker.mark.beside(parts.records.content(caller.id, record_id), record)
    name = media.file_name(record.id, media.form_of(record.media_type))
    how = {"content-disposition": f'attachment; filename="{name}.json"'}
    return Response(found, media_type="application/json", headers=how)


@router.get("/{record_id}/lineage")
def lineage(request: Request, record_id: str) -> dict[str, Any]:
    """What an output comes from: its model, that model's data and verdict, and the licence."""
    caller, parts = allow(request, "generate"), services(request)
    record = parts.records.get(caller.id, record_id)
    known = _known(parts, record)
    return {
        "output": record.id,
        "sha256": record.sha256,
        "model": {
            "hash": record.origin.model,
            "recipe_hash": record.origin.recipe,
            "name": known.name if known else None,
            "gate": record.gate,
        },
        "data": {"fingerprint": record.origin.data},
        "report": _report(parts, known, record.report),
        "licence": record.licence,
    }


def _report(parts: Services, known: Known | None, sha256: str | None) -> dict[str, Any] | None:
    """The verdict that was in force; of one that is not here any more, its hash."""
    if sha256 is None:
        return None
    verdicts = parts.maker.gate.verdicts.all(known) if known else []
    for one in verdicts:
        if one.sha256 == sha256:
            kept = {name: dict(estimate) for name, estimate in one.estimates.items()}
            facts = {"passed": one.passed, "failures": list(one.failures), "measures": kept}
            return {"sha256": sha256, "found": True, **facts, "conditions": dict(one.conditions)}
    return {"sha256": sha256, "found": False}


def _known(parts: Services, record: Record) -> Known | None:
    """The record's model, if it is served."""
    found = (known for known in parts.models.values() if known.hash == record.origin.model)
    return next(found, None)


@router.post("/{record_id}/reproduce")
async def reproduce(request: Request, record_id: str, body: Again | None = None) -> dict[str, Any]:
    """Make an output again and compare it; it counts as a sample."""
    caller, parts = allow(request, "generate"), services(request)
    record = await run_in_threadpool(parts.records.get, caller.id, record_id)
    known = _known(parts, record)
    if known is None:
        raise Problem(409, "the model of this output is not served here.", code="cannot_reproduce")
    sent = None if body is None else sent_as_text(body.source, body.mask)
    await parts.maker.spend(caller, 1)
    try:
        work = partial(remake, parts.pool, known, record, parts.maker.mark, sent)
        (found,) = await collected(request, _once(work))
    except CannotReproduce as error:
        raise Problem(409, str(error), code="cannot_reproduce") from error
    return {"id": record.id, **found.as_dict()}


async def _once(work: Callable[[], Awaitable[Comparison]]) -> AsyncGenerator[Comparison]:
    """As an iterator, which is closed where the caller goes before."""
    yield await work()


@router.delete("/{record_id}")
def delete(request: Request, record_id: str) -> dict[str, Any]:
    """Forget an output and its bytes."""
    caller = allow(request, "generate")
    services(request).records.delete(caller.id, record_id)
    return {"id": record_id, "deleted": True}


def as_file(record: Record, found: bytes) -> Response:
    """Bytes with the type of our table, shown in place only where that is harmless."""
    plain = record.media_type.partition(";")[0]
    how = "inline" if plain in INLINE else "attachment"
    name = media.file_name(record.id, media.form_of(record.media_type))
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
        "report_hash": record.report,
        "licence": record.licence,
        "gate": record.gate,
        "url": f"/v1/outputs/{record.id}/content",
    }
