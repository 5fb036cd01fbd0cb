"""Changed pictures, as OpenAI's clients ask for them: a picture, where it may change, and what to.

Models that can are those with `edit_steps`, and those that were given sources in training: to these
the picture is the source. A mask says where: transparent places, as in OpenAI's API. Without one
all of the picture changes, as far as `strength` (0 to 1) allows; what fills holes needs one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response

from genloom.core import Option
from genloom.serve import given, media
from genloom.serve.asked import Asked
from genloom.serve.events import collected, streamed
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.making import Finished, seeds_of
from genloom.serve.originals import Sent, made_from
from genloom.serve.problems import Problem
from genloom.serve.prompts import caption_of, negative_of
from genloom.serve.routes.images import ACCEPTED, Body, answer, events, label_in, size_of
from genloom.serve.services import Services, check_fields, services, unknown_fields

router = APIRouter(prefix="/v1/images")


class Fields(Body):
    """The text fields of the form; a prompt is needed only by models of classes."""

    prompt: str = ""
    strength: float | None = Field(None, ge=0, le=1)


@router.post("/edits")
async def edit(request: Request) -> Response:
    """Pictures that keep what the mask keeps."""
    allow(request, "generate")
    parts = services(request)
    async with request.form(max_files=4, max_fields=60) as form:
        files = [(name, one) for name, one in form.multi_items() if isinstance(one, UploadFile)]
        texts = {name: one for name, one in form.multi_items() if isinstance(one, str)}
        try:
            body = Fields.model_validate(texts)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        known = _able(parts, body.model)
        picture = await _file(files, ("image", "image[]"))
        hole = await _file(files, ("mask",))
    if picture is None:
        raise Problem(400, "image is missing.", param="image", code="missing_required_parameter")
    if known.given == "masked" and hole is None:
        text = f"{known.name} fills holes: say where with a mask."
        raise Problem(400, text, param="mask", code="missing_required_parameter")
    sent = Sent(
        picture=picture,
        mask=hole,
        strength=body.strength,
        keep=known.given == "masked",  # others that read a mask keep what it keeps by themselves
        name="image",
    )
    asked, ignored = _asked(parts, known, body)
    asked = await asyncio.to_thread(made_from, asked, sent)
    headers = unknown_fields(ignored | asked.unread)
    if body.stream:
        told = events(request, parts, asked, "image_edit")
        return await streamed(request, told, headers)
    *_, last = await collected(request, parts.maker.make(allow(request, "generate"), asked))
    assert isinstance(last, Finished)
    return JSONResponse(answer(request, body, asked, last), headers=headers)


def _able(parts: Services, model: str | None) -> Known:
    known = named(parts.models, model)
    if not _draws(known):
        able = ", ".join(name for name, one in parts.models.items() if _draws(one))
        raise Problem(
            400,
            f"{known.name} cannot edit pictures. Models that can: {able or 'none is served'}.",
            param="model",
            code="unsupported_model",
        )
    return known


def _draws(known: Known) -> bool:
    return known.edits and known.items.kind == "image"


async def _file(files: list[tuple[str, UploadFile]], names: tuple[str, ...]) -> bytes | None:
    """The one file of these names.

    Raises:
        Problem: There are several, or it is too large.
    """
    found = [file for name, file in files if name in names]
    if len(found) > 1:
        raise Problem(400, f"{names[0]}: one picture at a time.", param=names[0])
    if found and (found[0].size or 0) > given.MOST_BYTES:
        most = given.MOST_BYTES
        raise Problem(413, f"{names[0]} has at most {most} bytes.", param=names[0])
    return await found[0].read() if found else None


def _asked(parts: Services, known: Known, body: Fields) -> tuple[Asked, dict[str, Any]]:
    """The request without its picture, and the fields that nobody read."""
    limits = parts.settings.limits
    extra = dict(body.model_extra or {})
    options = {
        name: _typed(known.options[name], str(extra.pop(name)))
        for name in list(extra)
        if name in known.options
    }
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
    ignored = {name: value for name, value in extra.items() if name not in ACCEPTED}
    unsent = (Fields.model_fields.keys() | known.options.keys()) - body.model_fields_set
    check_fields(ignored, unsent - options.keys())
    return asked, ignored


def _typed(option: Option, text: str) -> Any:
    """A form's text as the option's type; what does not fit is left for the check that names it."""
    if option.optional and text == "null":
        return None
    if option.type is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return option.type(text)
    except ValueError:
        return text
