"""Samples of any kind of data, with the model's own options."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from genloom.decoding.writing import Writing
from genloom.serve import archive, media
from genloom.serve.asked import Asked
from genloom.serve.asking import asked_for, walk
from genloom.serve.engine.messages import NewTokens, Preview
from genloom.serve.events import Named, collected, preview_of, streamed
from genloom.serve.guard import allow
from genloom.serve.known import named
from genloom.serve.making import Finished, Output, seeds_of
from genloom.serve.originals import LONGEST, sent_as_text
from genloom.serve.problems import Problem
from genloom.serve.routes.outputs import as_file
from genloom.serve.services import Services, check_fields, services, unknown_fields
from genloom.serve.settings import Limits

router = APIRouter(prefix="/v1/generations")


Code = Annotated[list[float], Field(max_length=100_000, fail_fast=True)]


class Body(BaseModel, extra="allow"):
    """What a request may say; fields far from these are named in a header and ignored."""

    model: str | None = None
    n: int | None = None
    seed: int | None = None
    label: Annotated[str, Field(max_length=200)] | int | None = None
    prompt: str = ""
    negative_prompt: str | None = None
    max_tokens: int | None = None
    toward: int | None = None
    mix: Annotated[list[float], Field(max_length=1000, fail_fast=True)] = []
    latent: Annotated[list[Code], Field(max_length=1000, fail_fast=True)] | None = None
    source: str | None = Field(None, max_length=LONGEST)
    mask: str | None = Field(None, max_length=LONGEST)
    strength: float | None = Field(None, ge=0, le=1)
    keep: bool = False
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
    unsent = Body.model_fields.keys() - body.model_fields_set
    check_fields(body.model_extra, unsent, known.options.keys() - body.options.keys())
    limits = parts.settings.limits
    sent = sent_as_text(body.source, body.mask, strength=body.strength, keep=body.keep)
    ask = partial(
        asked_for,
        known,
        limits,
        _seeds(body, limits),
        label=body.label,
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        format=body.format,
        options=body.options,
        previews=body.previews if body.stream else 0,
        tokens=body.stream,
        most=body.max_tokens,
        toward=body.toward,
        mix=body.mix,
        latent=body.latent,
        sent=sent,
    )
    asked = ask() if sent.picture is None else await asyncio.to_thread(ask)
    headers = unknown_fields((body.model_extra or {}) | asked.unread)
    if body.stream:
        return await streamed(request, _events(request, parts, asked), headers)
    start = time.perf_counter()
    *_, last = await collected(request, parts.maker.make(allow(request, "generate"), asked))
    assert isinstance(last, Finished)
    wanted = request.headers.get("accept", "")
    kind = media.media_type(known.items.medium, asked.form)[1]
    if archive.MEDIA_TYPE in wanted:
        return archive.response([out.record for out in last.outputs], last.contents(), headers)
    if kind.partition(";")[0] in wanted and "json" not in wanted and len(last.outputs) == 1:
        return _file(last.outputs[0])
    return JSONResponse(_completed(asked, last, start), headers=headers)


def _file(output: Output) -> Response:
    """The one output itself; where it must not be seen, the refusal.

    Raises:
        Problem: It is held or refused.
    """
    if output.record is None or output.state != "free":
        raise Problem(403, f"the output is {output.state}: {output.why}", code=output.state)
    return as_file(output.record, output.content)


def _seeds(body: Body, limits: Limits) -> tuple[int, ...]:
    """One for each sample that is asked for.

    Raises:
        Problem: Too many, out of range, or two numbers of samples.
    """
    if body.mix or body.toward is not None:
        if body.toward is None or body.n not in (None, len(body.mix)):
            raise Problem(400, "a walk needs toward and mix, and as many n as mix.", param="mix")
        return walk(body.seed, body.toward, body.mix, limits)
    n = body.n if body.latent is None else len(body.latent)
    if body.n not in (None, n):
        raise Problem(400, f"n = {body.n}, but there are {n} codes: leave n out.", param="n")
    return seeds_of(body.seed, 1 if n is None else n, limits)


async def _events(request: Request, parts: Services, asked: Asked) -> AsyncGenerator[Named]:
    caller, start, items = allow(request, "generate"), time.perf_counter(), asked.known.items
    writing = None
    if items.lexicon is not None:
        writing = Writing(items.lexicon, len(asked.seeds), items.shape[0], (), given=asked.prompt)
    async with aclosing(parts.maker.make(caller, asked)) as events:
        async for event in events:
            if isinstance(event, Preview):
                shown = [
                    {"index": i, "b64_json": preview_of(item, items)}
                    for i, item in enumerate(event.items)
                ]
                yield "generation.preview", {"step": event.step, "data": shown}
            elif isinstance(event, NewTokens):
                assert writing is not None
                for i, piece in writing.add(event.tokens.tolist()):
                    yield "generation.text", {"index": i, "text": piece}
            elif isinstance(event, Finished):
                yield "generation.completed", _completed(asked, event, start)


def _completed(asked: Asked, done: Finished, start: float) -> dict[str, Any]:
    usage = {"samples": len(done.outputs), "seconds": round(time.perf_counter() - start, 4)}
    return {
        "object": "generation",
        "created": int(time.time()),
        "model": asked.known.name,
        "seed": asked.seeds[0],
        "data": [told(output) for output in done.outputs],
        "usage": usage,
    }


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
