"""Pictures, as OpenAI's clients ask for them.

A prompt is a caption where the model reads those, else it names a class; `seed`, `steps`,
`guidance` and whatever else the model's sampler takes come through `extra_body`, and so do a
`negative_prompt` for models that are led by captions, and a `source` and a `mask` in base64 for
models that make pictures from pictures.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from genloom.serve import media
from genloom.serve.engine.messages import Preview
from genloom.serve.events import Named, base64_of, collected, preview_of, streamed
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.making import Asked, Finished, label_of, seeds_of
from genloom.serve.originals import LONGEST, made_from, sent_as_text
from genloom.serve.problems import Problem
from genloom.serve.prompts import caption_of, negative_of
from genloom.serve.services import Services, check_fields, services, unknown_fields

router = APIRouter(prefix="/v1/images")
ACCEPTED = ("quality", "background", "moderation", "user", "safety_identifier", "style", "seed")


class Body(BaseModel, extra="allow"):
    """The fields of the API that a model made here can honour, and its own beside them."""

    prompt: str
    negative_prompt: str | None = None
    model: str | None = None
    n: int = Field(1, le=10**6)  # as a form it comes as digits, thousands of them if one likes
    size: str = "auto"
    output_format: Literal["png", "jpeg", "webp"] = "png"
    output_compression: int = Field(90, ge=0, le=100)
    response_format: Literal["b64_json", "url"] | None = None
    stream: bool = False
    partial_images: int = Field(0, ge=0, le=3)
    seed: int | None = Field(None, ge=0)

    @property
    def told(self) -> str:
        """What the filters read: guidance below 1 leads towards a negative prompt."""
        return "\n".join(filter(None, (self.prompt, self.negative_prompt)))


class Drawn(Body):
    """The same, and a picture that the new ones are made from."""

    source: str | None = Field(None, max_length=LONGEST)
    mask: str | None = Field(None, max_length=LONGEST)
    strength: float | None = Field(None, ge=0, le=1)
    keep: bool = False


@router.post("/generations")
async def generate(request: Request, body: Drawn) -> Response:
    """Pictures at once, or with the denoising shown on the way."""
    parts = services(request)
    allow(request, "generate")
    known, limits = named(parts.models, body.model), parts.settings.limits
    if known.items.kind != "image":
        raise Problem(400, f"{known.name} makes {known.items.kind}, not images.", param="model")
    extra = dict(body.model_extra or {})
    options = {name: extra.pop(name) for name in list(extra) if name in known.options}
    asked = Asked(
        known=known,
        seeds=seeds_of(body.seed, body.n, limits),
        label=label_in(known, body.prompt),
        caption=caption_of(known, body.prompt, limits),
        negative=negative_of(known, body.negative_prompt, limits),
        options=known.chosen(options, most_steps=limits.steps),
        told=body.told,
        form=media.media_type("image", body.output_format)[0],
        size=size_of(body.size, limits.side),
        quality=body.output_compression,
        previews=body.partial_images if body.stream else 0,
    )
    sent = sent_as_text(body.source, body.mask, strength=body.strength, keep=body.keep)
    slow = sent.picture is not None
    asked = await asyncio.to_thread(made_from, asked, sent) if slow else made_from(asked, sent)
    ignored = {k: v for k, v in extra.items() if k not in ACCEPTED}
    unsent = (Drawn.model_fields.keys() | known.options.keys()) - body.model_fields_set
    check_fields(ignored, unsent - options.keys())
    headers = unknown_fields(ignored | asked.unread)
    if body.stream:
        return await streamed(request, events(request, parts, asked), headers)
    *_, last = await collected(request, parts.maker.make(allow(request, "generate"), asked))
    assert isinstance(last, Finished)
    return JSONResponse(answer(request, body, asked, last), headers=headers)


def answer(request: Request, body: Body, asked: Asked, done: Finished) -> dict[str, Any]:
    """All pictures at once."""
    base = str(request.base_url).rstrip("/")
    data: list[dict[str, Any]] = []
    for output in done.outputs:
        entry: dict[str, Any] = {"seed": output.seed}
        entry |= {"id": output.record.id} if output.record else {}
        if output.record is None or output.state != "free":
            entry |= {"state": output.state, "b64_json": None}
        elif body.response_format == "url":
            entry["url"] = f"{base}/v1/outputs/{output.record.id}/content"
        else:
            entry["b64_json"] = base64_of(output.content)
        data.append(entry)
    return {"created": int(time.time()), "data": data, **_common(asked), "usage": usage(asked)}


async def events(
    request: Request, parts: Services, asked: Asked, what: str = "image_generation"
) -> AsyncGenerator[Named]:
    """Previews and pictures as OpenAI streams them; `what` begins the names of the events."""
    index = 0
    common = {"created_at": int(time.time()), **_common(asked)}
    async with aclosing(parts.maker.make(allow(request, "generate"), asked)) as made:
        async for event in made:
            if isinstance(event, Preview):
                for item in event.items:
                    name = f"{what}.partial_image"
                    shown = preview_of(item, asked.known.items)
                    yield (
                        name,
                        {"type": name, "b64_json": shown, "partial_image_index": index, **common},
                    )
                    index += 1
            elif isinstance(event, Finished):
                for output in event.outputs:
                    name = f"{what}.completed"
                    shown = base64_of(output.content)
                    told = {"type": name, "b64_json": shown, **common, "usage": usage(asked)}
                    yield name, {**told, "state": output.state}


def _common(asked: Asked) -> dict[str, Any]:
    height, width = asked.known.items.shape[1:]
    width, height = asked.size or (width, height)
    return {
        "background": "opaque",
        "output_format": asked.form,
        "quality": "auto",
        "size": f"{width}x{height}",
    }


def usage(asked: Asked) -> dict[str, Any]:
    """In OpenAI's form: no text is read by a model of classes; a sample counts as one token."""
    n = len(asked.seeds)
    return {
        "input_tokens": 0,
        "output_tokens": n,
        "total_tokens": n,
        "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
    }


def label_in(known: Known, prompt: str) -> int | None:
    """The class that a prompt names, by itself or as one of its words; None where it names none.

    Raises:
        Problem: It names several, or it is not empty and the model has classes but not this one.
    """
    if not known.labelled or known.items.caption or not prompt.strip():
        return None
    whole = prompt.strip().lower()
    words = set(re.findall(r"\w+", whole))
    classes = known.items.classes
    found = [i for i, name in enumerate(classes) if name == prompt.strip()]
    found = found or [i for i, name in enumerate(classes) if name.lower() == whole]
    found = found or [i for i, name in enumerate(classes) if name.lower() in words]
    if len(found) == 1:
        return int(label_of(known, found[0]) or 0)
    few = ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
    problem = "names several classes" if found else "names no class of the model"
    raise Problem(400, f"the prompt {problem}. It knows: {few}.", param="prompt")


def size_of(text: str, most: int) -> tuple[int, int] | None:
    """(width, height); None for "auto".

    Raises:
        Problem: It is no size, or too large.
    """
    if text == "auto":
        return None
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not match:
        raise Problem(400, f"size = {text[:30]!r}: it must be WIDTHxHEIGHT or auto.", param="size")
    width, height = int(match[1]), int(match[2])
    if not (1 <= width <= most and 1 <= height <= most):
        raise Problem(400, f"size = {text}: sides are 1 to {most} pixels.", param="size")
    return width, height
