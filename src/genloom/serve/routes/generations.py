"""Samples of any kind of data, with the model's own options."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from genloom.serve import media
from genloom.serve.engine.messages import NewTokens, Preview
from genloom.serve.events import Named, collected, preview_of, streamed
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.making import Asked, Finished, Output, label_of, prompt_of, seeds_of
from genloom.serve.services import Services, services, unknown_fields

router = APIRouter(prefix="/v1/generations")


class Body(BaseModel, extra="allow"):
    """What a request may say; other fields are named in a header and ignored."""

    model: str | None = None
    n: int = 1
    seed: int | None = None
    label: Annotated[str, Field(max_length=200)] | int | None = None
    prompt: str = ""
    format: str | None = Field(None, max_length=20)
    options: dict[str, Any] = Field(default_factory=dict)
    stream: bool = False
    previews: int = Field(0, ge=0, le=16)


@router.post("")
async def generate(request: Request, body: Body) -> Response:
    """Samples: all at once, or as they come."""
    allow(request, "generate")
    parts = services(request)
    known = named(parts.models, body.model)
    asked = asked_for(parts, known, body)
    headers = unknown_fields(body.model_extra)
    events = _events(request, parts, asked)
    if body.stream:
        return await streamed(request, events, headers)
    *_, (_, last) = await collected(request, events)
    return JSONResponse(last, headers=headers)


def asked_for(parts: Services, known: Known, body: Body) -> Asked:
    """The request, checked against the model and the limits.

    Raises:
        Problem: Something does not fit.
    """
    limits = parts.settings.limits
    return Asked(
        known=known,
        seeds=seeds_of(body.seed, body.n, limits),
        label=label_of(known, body.label),
        options=known.chosen(body.options, most_steps=limits.steps),
        prompt=prompt_of(known, body.prompt, limits),
        told=body.prompt,
        form=media.media_type(known.items.kind, body.format)[0],
        previews=body.previews if body.stream else 0,
        tokens=body.stream and known.tokens,
    )


async def _events(request: Request, parts: Services, asked: Asked) -> AsyncGenerator[Named]:
    caller, start, items = allow(request, "generate"), time.perf_counter(), asked.known.items
    async with aclosing(parts.maker.make(caller, asked)) as events:
        async for event in events:
            if isinstance(event, Preview):
                shown = [
                    {"index": i, "b64_json": preview_of(item, items)}
                    for i, item in enumerate(event.items)
                ]
                yield "generation.preview", {"step": event.step, "data": shown}
            elif isinstance(event, NewTokens):
                for i, row in enumerate(event.tokens.tolist()):
                    piece = "".join(items.alphabet[token] for token in row)
                    yield "generation.text", {"index": i, "text": piece}
            elif isinstance(event, Finished):
                usage = {
                    "samples": len(event.outputs),
                    "seconds": round(time.perf_counter() - start, 4),
                }
                yield (
                    "generation.completed",
                    {
                        "object": "generation",
                        "created": int(time.time()),
                        "model": asked.known.name,
                        "seed": asked.seeds[0],
                        "data": [told(output) for output in event.outputs],
                        "usage": usage,
                    },
                )


def told(output: Output) -> dict[str, Any]:
    """What a caller reads of an output."""
    found: dict[str, Any] = {"seed": output.seed, "label": output.label, "state": output.state}
    if output.record is None:
        return {**found, "id": None, "reason": output.why}
    found |= {
        "id": output.record.id,
        "kind": output.record.kind,
        "media_type": output.record.media_type,
        "url": f"/v1/outputs/{output.record.id}/content",
    }
    return found if output.text is None else {**found, "text": output.text}
