"""Which models there are, and what each may be asked."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.services import Services, services

router = APIRouter(prefix="/v1/models")


@router.get("")
def listed(request: Request) -> dict[str, Any]:
    """All models."""
    allow(request, "generate")
    parts = services(request)
    return {"object": "list", "data": [_told(parts, known) for known in parts.models.values()]}


@router.get("/{name}")
def one(request: Request, name: str) -> dict[str, Any]:
    """One model."""
    allow(request, "generate")
    parts = services(request)
    return _told(parts, named(parts.models, name))


def _told(parts: Services, known: Known) -> dict[str, Any]:
    told = {"gate": parts.maker.gate.state(known), "licence": known.licence}
    return {**known.card(), **told, "int8": parts.settings.int8 and known.packs}


@router.get("/{name}/schema")
def schema(request: Request, name: str) -> dict[str, Any]:
    """JSON schema of a model's options, from the signature of its sampler."""
    allow(request, "generate")
    return named(services(request).models, name).schema()
