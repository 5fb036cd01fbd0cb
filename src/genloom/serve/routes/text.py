"""Text, as OpenAI's clients ask for it: completions, and conversations as plain text.

A model made here goes on from what it is given, a character at a time, up to its window. There is
no template language: a conversation is its messages, one a line, and nothing in them is special.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from genloom.decoding.forms import FORM, VALID
from genloom.lexicon import ASKED, ROLES, Lexicon
from genloom.serve.asked import Asked
from genloom.serve.engine.messages import NewTokens
from genloom.serve.events import Named, collected, streamed
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.making import Finished, prompt_of, seeds_of
from genloom.serve.problems import Problem
from genloom.serve.services import Services, services, unknown_fields
from genloom.serve.settings import Limits
from genloom.serve.telling import CHAT, COMPLETION, Form, Told
from genloom.serve.writing import Score, Writing

router = APIRouter(prefix="/v1")
ACCEPTED = ("user", "best_of", "suffix", "store", "metadata")
TOP = 5  # of the likeliest tokens that can be told


# One wrong element is enough: a list of millions of them would be millions of complaints.
Strings = Annotated[list[str], Field(fail_fast=True)]
Tokens = Annotated[list[int], Field(fail_fast=True)]
Nats = Annotated[float, Field(ge=-100, le=100)]


class Common(BaseModel, extra="allow"):
    """What both routes take."""

    model: str | None = None
    n: int = 1
    seed: int | None = None
    max_tokens: int | None = None
    stop: str | Strings | None = None
    logit_bias: Annotated[dict[int, Nats], Field(max_length=300)] | None = None
    response_format: dict[str, Any] | None = None
    regex: str | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None


class Completion(Common):
    """`POST /v1/completions`."""

    prompt: str | Strings | Tokens | Annotated[list[Tokens], Field(fail_fast=True)] = ""
    echo: bool = False
    logprobs: int | None = Field(None, ge=0, le=TOP)


class Message(BaseModel, extra="allow"):
    """One of a conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class Chat(Common):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(fail_fast=True)]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=TOP)


@router.post("/completions")
async def complete(request: Request, body: Completion) -> Response:
    """Go on from a prompt."""
    allow(request, "generate")
    known = _writer(services(request), body.model)
    prompt = _one_prompt(body.prompt, known)
    echoed = prompt if body.echo else ""
    tokens = prompt_of(known, prompt, services(request).settings.limits)
    wish = Wish(prompt, tokens, body.max_tokens, 16, body.logprobs)
    asked, writing = _asked(request, body, known, wish)
    return await _answer(request, body, asked, writing, COMPLETION, echoed)


@router.post("/chat/completions")
async def chat(request: Request, body: Chat) -> Response:
    """Go on from a conversation."""
    allow(request, "generate")
    known = _writer(services(request), body.model)
    if body.top_logprobs is not None and not body.logprobs:
        raise Problem(400, "top_logprobs needs logprobs: true.", param="top_logprobs")
    top = (body.top_logprobs or 0) if body.logprobs else None
    wish = _talk(body, known, services(request).settings.limits, top)
    asked, writing = _asked(request, body, known, wish)
    return await _answer(request, body, asked, writing, CHAT, "")


@dataclass(frozen=True)
class Wish:
    """What is to be written.

    Args:
        told: The prompt as text.
        prompt: What the model goes on from; of a long one the end.
        most: Tokens to draw, if that was said.
        usual: Else so many, or as many as there is room for.
        logprobs: See `Asked.logprobs`.
        ends: Tokens that end a text, besides its stops.
        stops: Texts that do, besides those that were asked for.
    """

    told: str
    prompt: tuple[int, ...]
    most: int | None
    usual: int
    logprobs: int | None
    ends: tuple[int, ...] = ()
    stops: tuple[str, ...] = ()


def _talk(body: Chat, known: Known, limits: Limits, top: int | None) -> Wish:
    """A conversation for a model that knows roles; for others, its lines."""
    lexicon, most = known.items.lexicon, body.max_completion_tokens or body.max_tokens
    said = [(message.role, _content(message)) for message in body.messages]
    told = "\n".join(text for _, text in said if text)
    if lexicon is None or ASKED not in lexicon.roles:
        return Wish(told, prompt_of(known, told, limits), most, 64, top)
    prompt: list[int] = []
    for role, text in said:
        if role not in ROLES:
            raise Problem(
                400, f"role is one of {', '.join(ROLES)}, not {role!r}.", param="messages"
            )
        prompt += [*lexicon.opening(role), *prompt_of(known, text, limits), *lexicon.closing]
    ends, stops = lexicon.stops
    return Wish(told, (*prompt, *lexicon.opening(ASKED)), most, 64, top, ends, stops)


def _asked(request: Request, body: Common, known: Known, wish: Wish) -> tuple[Asked, Writing]:
    """The request, checked, and the texts that will answer it."""
    limits, given = services(request).settings.limits, body.model_extra or {}
    options = {k: v for k, v in given.items() if k in known.options and v is not None}
    length = known.items.shape[0]
    longest = length - bool(wish.prompt or known.items.end is None)
    most = min(wish.usual, longest) if wish.most is None else wish.most
    if not 1 <= most <= longest:
        raise Problem(400, f"max_tokens = {most}: it must be 1 to {longest}.", param="max_tokens")
    tokens = wish.prompt[-(length - most) :]
    stops = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    if len(stops) > 4 or any(not 0 < len(stop) <= 64 for stop in stops):
        raise Problem(400, "stop is at most 4 strings of 1 to 64 characters.", param="stop")
    stops = (*stops, *wish.stops)
    lexicon = known.items.lexicon
    assert lexicon is not None
    asked = Asked(
        known=known,
        seeds=seeds_of(body.seed, body.n, limits),
        options=known.chosen(options, most_steps=limits.steps),
        prompt=tokens,
        told=wish.told,
        form="txt",
        tokens=body.stream or wish.logprobs is not None,
        most=most,
        stop=tuple((end,) for end in wish.ends),
        stops=stops,
        grammar=_grammar(body),
        logit_bias=tuple((body.logit_bias or {}).items()),
        logprobs=wish.logprobs,
    )
    return asked, Writing(lexicon, body.n, most, stops, wish.ends)


def _grammar(body: Common) -> tuple[str, str] | None:
    """The form that texts are to have, as OpenAI asks for it, by a regular expression, or valid."""
    told = body.response_format or {"type": "text"}
    kind, named = told.get("type"), told.get("json_schema")
    if body.regex is not None and kind != "text":
        raise Problem(400, "regex and response_format exclude each other.", param="regex")
    if kind == "text":
        return None if body.regex is None else ("regex", body.regex)
    if kind == "json_object":
        return "json_schema", '{"type": "object"}'
    if kind == VALID:
        return FORM, VALID
    if kind != "json_schema" or not isinstance(named, dict) or "schema" not in named:
        raise Problem(
            400,
            f"response_format is of type text, {VALID}, json_object, or json_schema with "
            'json_schema: {"name": ..., "schema": ...}.',
            param="response_format",
        )
    return "json_schema", json.dumps(named["schema"])


async def _answer(
    request: Request, body: Common, asked: Asked, writing: Writing, form: Form, echoed: str
) -> Response:
    parts = services(request)
    read = (*asked.known.options, *ACCEPTED)
    headers = unknown_fields({k: v for k, v in (body.model_extra or {}).items() if k not in read})
    told = Told(
        form,
        asked.known.name,
        len(asked.prompt),
        writing,
        with_usage=bool((body.stream_options or {}).get("include_usage")),
        with_scores=asked.logprobs is not None,
    )
    pieces = _pieces(request, parts, asked, writing)
    if body.stream:
        return await streamed(request, _stream(pieces, told), headers)
    await collected(request, pieces)
    return JSONResponse(told.whole(echoed), headers=headers)


async def _pieces(
    request: Request, parts: Services, asked: Asked, writing: Writing
) -> AsyncGenerator[tuple[int, str]]:
    """(index, new text) until every text has ended; see `Maker.make` for filters."""
    lexicon = writing.lexicon
    async with aclosing(parts.maker.make(allow(request, "generate"), asked)) as events:
        async for event in events:
            if isinstance(event, NewTokens):
                scores = None if asked.logprobs is None else scores_of(event, lexicon)
                for piece in writing.add(event.tokens.tolist(), scores):
                    yield piece
            elif isinstance(event, Finished):
                for i, output in enumerate(event.outputs):
                    if output.state != "free" or output.text is None:
                        writing.refuse(i)
                    elif not asked.tokens:
                        text = output.text[len(writing.lexicon.decode(asked.prompt)) :]
                        writing.finish(i, text, stopped=output.stopped)


def scores_of(event: NewTokens, lexicon: Lexicon) -> list[list[Score]]:
    """The scores of an event's tokens; something stands where a text had ended, too."""
    assert event.nats is not None
    none = event.tokens.new_zeros(*event.tokens.shape, 0)
    columns = (event.tokens, event.nats, none if event.top is None else event.top)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [[_score(lexicon, *one) for one in zip(*row, strict=True)] for row in rows]


def _score(lexicon: Lexicon, token: int, nats: list[float], top: list[int]) -> Score:
    best = ((lexicon.decode([one]), value) for one, value in zip(top, nats[1:], strict=True))
    return Score(lexicon.decode([token]), nats[0], tuple(best))


async def _stream(pieces: AsyncGenerator[tuple[int, str]], told: Told) -> AsyncGenerator[Named]:
    async with aclosing(pieces):
        first = await anext(pieces, None)  # before anything is sent: a refusal has a status
        for chunk in told.opening():
            yield None, chunk
        if first is not None:
            yield None, told.piece(*first)
        async for piece in pieces:
            yield None, told.piece(*piece)
    for chunk in told.closing():
        yield None, chunk


def _writer(parts: Services, name: str | None) -> Known:
    known = named(parts.models, name)
    if not known.tokens:
        made = f"{known.name} makes {known.items.kind}, and not token by token"
        raise Problem(400, f"{made}: ask /v1/generations for it.", param="model")
    return known


def _one_prompt(prompt: Any, known: Known) -> str:
    """The prompt as text; OpenAI also takes tokens, and lists of one of either."""
    if isinstance(prompt, list) and len(prompt) == 1 and not isinstance(prompt[0], int):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    lexicon = known.items.lexicon
    assert lexicon is not None
    if all(isinstance(t, int) for t in prompt):
        if not all(0 <= t < lexicon.letters for t in prompt):
            raise Problem(400, f"tokens are 0 to {lexicon.letters - 1}.", param="prompt")
        return lexicon.decode(prompt)
    raise Problem(400, "one prompt at a time: use n, or send several requests.", param="prompt")


def _content(message: Message) -> str:
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    parts = message.content
    if any(part.get("type") != "text" for part in parts):
        raise Problem(400, "messages are text here.", param="messages")
    return "".join(str(part.get("text", "")) for part in parts)
