"""Which models there are, and what each may be asked."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from genloom.serve.guard import allow
from genloom.serve.known import named
from genloom.serve.services import services

router = APIRouter(prefix="/v1/models")


@router.get("")
def listed(request: Request) -> dict[str, Any]:
    """All models."""
    allow(request, "generate")
    return {"object": "list", "data": [known.card() for known in services(request).models.values()]}


@router.get("/{name}")
def one(request: Request, name: str) -> dict[str, Any]:
    """One model."""
    allow(request, "generate")
    return named(services(request).models, name).card()


@router.get("/{name}/schema")
def schema(request: Request, name: str) -> dict[str, Any]:
    """JSON schema of a model's options, from the signature of its sampler."""
    allow(request, "generate")
    return named(services(request).models, name).schema()
