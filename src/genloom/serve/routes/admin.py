"""Keys, sessions and the review of what was held."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from genloom.serve.guard import COOKIE, LOCAL, allow
from genloom.serve.problems import Problem
from genloom.serve.routes.outputs import as_file, shown
from genloom.serve.services import services
from genloom.serve.sessions import LASTS_S
from genloom.serve.store import Key

router = APIRouter(prefix="/v1")


class NewKey(BaseModel):
    """A key to make."""

    name: str
    scopes: Annotated[list[str], Field(fail_fast=True)]
    per_minute: int | None = None
    per_day: int | None = None


class SignIn(BaseModel):
    """A key's secret."""

    key: str


class Ruling(BaseModel):
    """What a reviewer decides."""

    approve: bool
    reason: str


@router.get("/keys")
def keys(request: Request) -> dict[str, Any]:
    """All keys, without their secrets."""
    allow(request, "admin")
    return {"object": "list", "data": [vars(key) for key in services(request).keys.all()]}


@router.post("/keys")
def make_key(request: Request, body: NewKey) -> dict[str, Any]:
    """A new key; its secret is in this answer and nowhere else."""
    allow(request, "admin")
    key, secret = services(request).keys.make(
        body.name, body.scopes, per_minute=body.per_minute, per_day=body.per_day
    )
    return {**vars(key), "secret": secret}


@router.delete("/keys/{name}")
def revoke(request: Request, name: str) -> dict[str, Any]:
    """End a key."""
    allow(request, "admin")
    return vars(services(request).keys.revoke(name))


@router.get("/session")
def session(request: Request) -> dict[str, Any]:
    """Who is asking."""
    caller: Key = request.scope["state"]["caller"]
    return {"name": caller.name, "scopes": list(caller.scopes), "local": caller is LOCAL}


@router.post("/session")
def sign_in(request: Request, body: SignIn) -> Response:
    """Exchange a key for a cookie that scripts cannot read."""
    parts = services(request)
    key = parts.keys.authenticate(body.key)
    if key is None:
        raise Problem(401, "this key is not valid.", code="invalid_api_key")
    answer = JSONResponse({"name": key.name, "scopes": list(key.scopes), "local": False})
    answer.set_cookie(
        COOKIE,
        parts.sessions.make(key),
        max_age=LASTS_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.delete("/session")
def sign_out() -> Response:
    """Forget the cookie."""
    answer = JSONResponse({"deleted": True})
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@router.get("/reviews")
def waiting(request: Request, after: str | None = None, limit: int = 20) -> dict[str, Any]:
    """Outputs that wait for a person."""
    allow(request, "admin")
    parts = services(request)
    page = parts.records.waiting(after=after, limit=max(1, min(limit, 100)))
    names = {known.hash: known.name for known in parts.models.values()}
    data = [{**shown(r, names), "url": f"/v1/reviews/{r.id}/content"} for r in page.items]
    return {"object": "list", "data": data, "has_more": page.more}


@router.get("/reviews/{record_id}/content")
def held(request: Request, record_id: str) -> Response:
    """What is held, for its reviewer's eyes."""
    allow(request, "admin")
    return as_file(*services(request).records.review(record_id))


@router.post("/reviews/{record_id}")
def decide(request: Request, record_id: str, body: Ruling) -> dict[str, Any]:
    """Let an output go, or not; who decided and why is kept."""
    caller, parts = allow(request, "admin"), services(request)
    record = parts.records.decide(
        record_id, approve=body.approve, by=caller.name, reason=body.reason
    )
    return shown(record, {known.hash: known.name for known in parts.models.values()})
