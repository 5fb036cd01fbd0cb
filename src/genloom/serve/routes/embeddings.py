"""Codes of data, from models that have them: in OpenAI's form, and of outputs by id."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import Annotated, Any, Literal

import torch
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from torch import Tensor

from genloom.codecs.scores import Scores
from genloom.core import Items
from genloom.errors import BadInput
from genloom.music import midi
from genloom.music.notes import Unreadable
from genloom.serve import given
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.media import form_of
from genloom.serve.problems import Problem
from genloom.serve.services import Services, services

router = APIRouter(prefix="/v1")
MOST = 64  # data of a request


class Embeddings(BaseModel, extra="allow"):
    """OpenAI's fields; a datum is a text, or travels as one: pictures in base64, points as JSON."""

    input: str | list[Any]  # looked at below: of a million wrong ones one complaint is enough
    model: str | None = None
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None


class Encodings(BaseModel):
    """Outputs of this server, by id."""

    model: str | None = None
    outputs: list[Annotated[str, Field(max_length=100)]] = Field(min_length=1, max_length=MOST)


@router.post("/embeddings")
async def embeddings(request: Request, body: Embeddings) -> dict[str, Any]:
    """The code of each input."""
    caller, parts = allow(request, "generate"), services(request)
    known = _able(parts, body.model)
    inputs = [body.input] if isinstance(body.input, str) else body.input
    if not 1 <= len(inputs) <= MOST:
        text = f"input holds {len(inputs)} data: it must be 1 to {MOST}."
        raise Problem(400, text, param="input")
    texts = [one for one in inputs if isinstance(one, str)]
    if len(texts) < len(inputs):
        raise Problem(
            400, f"{known.name} has no vocabulary: give texts, not tokens.", param="input"
        )
    items = await asyncio.to_thread(given.rows, texts, known.items)
    codes = await parts.maker.encode(caller, known, items)
    size = codes.shape[1]
    if body.dimensions not in (None, size):
        raise Problem(400, f"{known.name} has codes of {size} numbers.", param="dimensions")
    as_text = body.encoding_format == "base64"
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": _text(code) if as_text else code}
            for i, code in enumerate(codes.tolist())
        ],
        "model": known.name,
        "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)},
    }


@router.post("/encodings")
async def encodings(request: Request, body: Encodings) -> dict[str, Any]:
    """The codes of outputs: what sliders start from, and whose differences are directions."""
    caller, parts = allow(request, "generate"), services(request)
    known = _able(parts, body.model)

    def read() -> Tensor:
        found = []
        for id in body.outputs:
            record, content = parts.records.get(caller.id, id), parts.records.content(caller.id, id)
            if record.kind != known.items.kind:
                text = f"{known.name} reads {known.items.kind}; the output {id} is {record.kind}."
                raise Problem(400, text, param="outputs")
            found.append(_item(content, record.media_type, known))
        return torch.stack(found)

    codes = await parts.maker.encode(caller, known, await asyncio.to_thread(read))
    return {"object": "list", "model": known.name, "data": codes.tolist()}


def _able(parts: Services, model: str | None) -> Known:
    known = named(parts.models, model)
    if known.latent is None:
        able = ", ".join(name for name, one in parts.models.items() if one.latent)
        raise Problem(
            400,
            f"{known.name} has no codes of data. Models that have: {able or 'none is served'}.",
            param="model",
            code="unsupported_model",
        )
    return known


def _item(content: bytes, media_type: str, known: Known) -> Tensor:
    if known.items.kind == "image":
        return given.picture(content, known.items, "outputs")
    if known.items.kind == "text":
        return _document(content, media_type, known.items)
    if media_type == "application/json":
        values = json.loads(content)["values"]
    else:
        values = [float(word) for word in content.decode().splitlines()[1].split(",")]
    return torch.tensor(values, dtype=torch.float32)


def _document(content: bytes, media_type: str, items: Items) -> Tensor:
    """The item whose file an output is; of music in the nearest words that the model has."""
    form = form_of(media_type)
    if form == "mid" and items.medium != "music":
        why = f"the output is music, and the model reads {items.medium}."
        raise Problem(400, why, param="outputs", code="invalid_value")
    if form == "mid":
        try:
            return Scores(items, "a code").row(midi.read(content)[0])
        except Unreadable as error:
            why = f"the output is no music that can be read: {error.reason}."
            raise Problem(400, why, param="outputs", code="invalid_value") from None
        except BadInput as error:
            raise Problem(400, str(error), param="outputs", code="invalid_value") from None
    if form == "json":
        return given.document(json.loads(content)["text"], items, "outputs")
    if form in ("txt", "smi"):
        said = content.decode().removesuffix("\n" if form == "smi" else "")
        return given.document(said, items, "outputs")
    raise Problem(400, f"an output that is {media_type} says no text.", param="outputs")


def _text(code: list[float]) -> str:
    """Little-endian float32 in base64, as OpenAI's client asks for by default."""
    return base64.b64encode(struct.pack(f"<{len(code)}f", *code)).decode()
