"""Text, as OpenAI's clients ask for it: completions, and conversations as plain text.

A model made here goes on from what it is given, a character at a time, up to its window. There is
no template language: a conversation is its messages, one a line, and nothing in them is special.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from genloom.serve.engine.messages import NewTokens
from genloom.serve.events import Named, collected, streamed
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.making import Asked, Finished, prompt_of, seeds_of
from genloom.serve.problems import Problem
from genloom.serve.services import Services, services, unknown_fields
from genloom.serve.writing import CHAT, COMPLETION, Form, Told, Writing

router = APIRouter(prefix="/v1")
ACCEPTED = ("user", "logprobs", "best_of", "suffix", "logit_bias", "store", "metadata")


# One wrong element is enough: a list of millions of them would be millions of complaints.
Strings = Annotated[list[str], Field(fail_fast=True)]
Tokens = Annotated[list[int], Field(fail_fast=True)]


class Common(BaseModel, extra="allow"):
    """What both routes take."""

    model: str | None = None
    n: int = 1
    seed: int | None = None
    max_tokens: int | None = None
    stop: str | Strings | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None


class Completion(Common):
    """`POST /v1/completions`."""

    prompt: str | Strings | Tokens | Annotated[list[Tokens], Field(fail_fast=True)] = ""
    echo: bool = False


class Message(BaseModel, extra="allow"):
    """One of a conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class Chat(Common):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(fail_fast=True)]
    max_completion_tokens: int | None = None


@router.post("/completions")
async def complete(request: Request, body: Completion) -> Response:
    """Go on from a prompt."""
    allow(request, "generate")
    known = _writer(services(request), body.model)
    prompt = _one_prompt(body.prompt, known)
    echoed = prompt if body.echo else ""
    return await _answer(request, body, known, prompt, body.max_tokens or 16, COMPLETION, echoed)


@router.post("/chat/completions")
async def chat(request: Request, body: Chat) -> Response:
    """Go on from a conversation."""
    allow(request, "generate")
    known = _writer(services(request), body.model)
    lines = [_content(message) for message in body.messages]
    prompt = "\n".join(line for line in lines if line)
    most = body.max_completion_tokens or body.max_tokens or 64
    return await _answer(request, body, known, prompt, most, CHAT, "")


async def _answer(
    request: Request, body: Common, known: Known, prompt: str, most: int, form: Form, echoed: str
) -> Response:
    parts = services(request)
    extra = dict(body.model_extra or {})
    options = {name: extra.pop(name) for name in list(extra) if name in known.options}
    length = known.items.shape[0]
    if not 1 <= most < length:
        raise Problem(
            400, f"max_tokens = {most}: it must be 1 to {length - 1}.", param="max_tokens"
        )
    given = prompt_of(known, prompt, parts.settings.limits)[-(length - most) :]
    asked = Asked(
        known=known,
        seeds=seeds_of(body.seed, body.n, parts.settings.limits),
        options=known.chosen(_plain(options, known), most_steps=parts.settings.limits.steps),
        prompt=given,
        told=prompt,
        form="txt",
        tokens=True,
    )
    stops = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    if len(stops) > 4 or any(not 0 < len(stop) <= 64 for stop in stops):
        raise Problem(400, "stop is at most 4 strings of 1 to 64 characters.", param="stop")
    writing = Writing(known.items.alphabet, body.n, most, stops)
    headers = unknown_fields({k: v for k, v in extra.items() if k not in ACCEPTED})
    with_usage = bool((body.stream_options or {}).get("include_usage"))
    told = Told(form, known.name, len(given), writing, with_usage=with_usage)
    if body.stream:
        return await streamed(request, _stream(request, parts, asked, writing, told), headers)
    await collected(request, _pieces(request, parts, asked, writing))
    return JSONResponse(told.whole(echoed), headers=headers)


async def _pieces(
    request: Request, parts: Services, asked: Asked, writing: Writing
) -> AsyncGenerator[tuple[int, str]]:
    """(index, new text); it ends, and frees the worker, as soon as every text has."""
    async with aclosing(parts.maker.make(allow(request, "generate"), asked)) as events:
        async for event in events:
            if isinstance(event, NewTokens):
                for piece in writing.add(event.tokens.tolist()):
                    yield piece
            if writing.done or isinstance(event, Finished):
                return


async def _stream(
    request: Request, parts: Services, asked: Asked, writing: Writing, told: Told
) -> AsyncGenerator[Named]:
    for chunk in told.opening():
        yield None, chunk
    async with aclosing(_pieces(request, parts, asked, writing)) as pieces:
        async for i, piece in pieces:
            yield None, told.piece(i, piece)
    for chunk in told.closing():
        yield None, chunk


def _writer(parts: Services, name: str | None) -> Known:
    known = named(parts.models, name)
    if not known.tokens:
        raise Problem(400, f"{known.name} makes {known.items.kind}, not text.", param="model")
    return known


def _one_prompt(prompt: Any, known: Known) -> str:
    """The prompt as text; OpenAI also takes tokens, and lists of one of either."""
    if isinstance(prompt, list) and len(prompt) == 1 and not isinstance(prompt[0], int):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    alphabet = known.items.alphabet
    if all(isinstance(t, int) for t in prompt):
        if not all(0 <= t < len(alphabet) for t in prompt):
            raise Problem(400, f"tokens are 0 to {len(alphabet) - 1}.", param="prompt")
        return "".join(alphabet[t] for t in prompt)
    raise Problem(400, "one prompt at a time: use n, or send several requests.", param="prompt")


def _content(message: Message) -> str:
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    parts = message.content
    if any(part.get("type") != "text" for part in parts):
        raise Problem(400, "messages are text here.", param="messages")
    return "".join(str(part.get("text", "")) for part in parts)


def _plain(options: dict[str, Any], known: Known) -> dict[str, Any]:
    """Without what clients send as null."""
    return {name: value for name, value in options.items() if value is not None}
