"""Outputs by id, many in one file."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from genloom.serve import archive
from genloom.serve.guard import allow
from genloom.serve.problems import Problem
from genloom.serve.services import services

router = APIRouter(prefix="/v1/archives")
MOST_BYTES = 2**28
Id = Annotated[str, Field(max_length=100)]


class Body(BaseModel):
    """Which outputs."""

    outputs: Annotated[list[Id], Field(min_length=1, max_length=1000, fail_fast=True)]


@router.post("")
def pack(request: Request, body: Body) -> Response:
    """A ZIP file of the caller's outputs; all of them must be free to be seen."""
    caller, parts = allow(request, "generate"), services(request)
    ids = list(dict.fromkeys(body.outputs))
    records = [parts.records.get(caller.id, id) for id in ids]
    contents, size = [], 0
    for record in records:
        contents.append(parts.records.content(caller.id, record.id))
        size += len(contents[-1])
        if size > MOST_BYTES:
            raise Problem(413, f"more than {MOST_BYTES} bytes: ask for fewer.", param="outputs")
    return archive.response(records, contents)
