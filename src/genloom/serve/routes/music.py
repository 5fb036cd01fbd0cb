"""Music that callers play: a MIDI file as the words that a completion goes on from."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, UploadFile
from starlette.concurrency import run_in_threadpool

from genloom.codecs.scores import Scores
from genloom.errors import BadInput
from genloom.serve.given import music
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.problems import Problem
from genloom.serve.services import services

router = APIRouter(prefix="/v1/models")


@router.post("/{name}/prompts")
async def prompt(request: Request, name: str, file: UploadFile) -> dict[str, Any]:
    """The bars of a MIDI file, on the steps and for the instruments of a model, as its prompt."""
    allow(request, "generate")
    known = named(services(request).models, name)
    if known.items.medium != "music":
        text = f"{known.name} makes {known.items.medium}, not music."
        raise Problem(400, text, param="model", code="unsupported_model")
    if not known.tokens:
        text = f"{known.name} does not go on from a prompt."
        raise Problem(400, text, param="model", code="unsupported_model")
    words = await run_in_threadpool(_opening, known, await file.read())
    return {"object": "prompt", "model": known.name, "prompt": words}


def _opening(known: Known, data: bytes) -> str:
    score = music(data, "file")
    try:
        return Scores(known.items, "a prompt").opening(score)
    except BadInput as error:
        raise Problem(400, f"file: {error}", param="file", code="invalid_value") from None
