"""Text, as OpenAI's clients ask for it: completions, and conversations as plain text.

A model made here goes on from what it is given, a token at a time, up to its window. There is
no template language: a conversation is its messages, one a line, and nothing in them is special.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cache

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from genloom.decoding.writing import Reading, Score, Writing
from genloom.serve.asked import Asked
from genloom.serve.engine.messages import NewTokens
from genloom.serve.events import Named, collected, merged, streamed
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.making import Finished
from genloom.serve.problems import Problem
from genloom.serve.services import Services, check_fields, services, unknown_fields
from genloom.serve.telling import CHAT, COMPLETION, Form, Told
from genloom.serve.wished import (
    ACCEPTED,
    Chat,
    Common,
    Completion,
    Wish,
    asked_of,
    completions,
    conversation,
    echoed,
)

router = APIRouter(prefix="/v1")


@router.post("/completions")
async def complete(request: Request, body: Completion) -> Response:
    """Go on from prompts."""
    allow(request, "generate")
    parts = services(request)
    known = _writer(parts, body.model)
    wishes = await asyncio.to_thread(completions, body, known, parts.settings.limits)
    return await _answer(request, body, known, wishes, COMPLETION)


@router.post("/chat/completions")
async def chat(request: Request, body: Chat) -> Response:
    """Go on from a conversation."""
    allow(request, "generate")
    parts = services(request)
    known = _writer(parts, body.model)
    wish = await asyncio.to_thread(conversation, body, known, parts.settings.limits)
    return await _answer(request, body, known, [wish], CHAT)


async def _answer(
    request: Request, body: Common, known: Known, wishes: Sequence[Wish], form: Form
) -> Response:
    """The texts of all wishes, as if each had been asked for alone."""
    parts = services(request)
    pairs = [asked_of(body, known, wish, parts.settings.limits) for wish in wishes]
    read = (*known.options, *ACCEPTED)
    unread = {k: v for k, v in (body.model_extra or {}).items() if k not in read}
    unsent = type(body).model_fields.keys() | known.options.keys()
    check_fields(unread, unsent - body.model_fields_set - (body.model_extra or {}).keys())
    headers = unknown_fields(unread)
    told = Told(
        form,
        known.name,
        sum(len(asked.prompt) for asked, _ in pairs),
        *(writing for _, writing in pairs),
        with_usage=bool((body.stream_options or {}).get("include_usage")),
        with_scores=pairs[0][0].logprobs is not None,
        before=[echoed(wish, asked) for wish, (asked, _) in zip(wishes, pairs, strict=True)],
    )
    caller = allow(request, "generate")
    standing = await parts.maker.admit(caller, *(asked for asked, _ in pairs))
    pieces = merged(
        [
            _pieces(parts.maker.make(caller, asked, standing), asked, writing, told, k * body.n)
            for k, (asked, writing) in enumerate(pairs)
        ]
    )
    if body.stream:
        return await streamed(request, _stream(pieces, told), headers)
    await collected(request, pieces)
    return JSONResponse(told.whole(), headers=headers)


async def _pieces(
    made: AsyncGenerator[object], asked: Asked, writing: Writing, told: Told, first: int
) -> AsyncGenerator[tuple[int, str]]:
    """(index, new text) until every text has ended; see `Maker.make` for filters.

    Args:
        made: Of `Maker.make`.
        asked: What is made.
        writing: Its texts, which grow.
        told: Takes the scores of the prompt, where they are asked for.
        first: The index of the first text.
    """
    says = cache(lambda token: writing.lexicon.decode([token]))
    async with aclosing(made) as events:
        async for event in events:
            if isinstance(event, NewTokens):
                if event.start < len(asked.prompt):  # it may be long
                    reading = Reading(writing.lexicon)
                    found = await asyncio.to_thread(read_of, event, asked.prompt, reading, says)
                    told.read(first, found if len(found) > 1 else found * len(writing.texts))
                    continue
                scores = None if asked.logprobs is None else scores_of(event, says)
                for i, piece in writing.add(event.tokens.tolist(), scores):
                    yield first + i, piece
            elif isinstance(event, Finished):
                for i, output in enumerate(event.outputs):
                    if output.state != "free" or output.text is None:
                        writing.refuse(i)
                    elif not asked.tokens:
                        drawn = output.tokens[len(asked.prompt) :]
                        writing.finish(i, drawn, stopped=output.stopped)
                    elif output.stopped:
                        writing.whole(i)


def read_of(
    event: NewTokens, prompt: Sequence[int], reading: Reading, says: Callable[[int], str]
) -> list[list[Score]]:
    """The scores of a prompt, whose tokens a filter may have hidden: of all texts, or of each."""
    assert event.nats is not None
    tokens = event.tokens.new_tensor(prompt).expand(len(event.nats), -1)
    steps = [(reading.text, reading.add(token)) for token in prompt]
    return [
        [score.among(*step) for score, step in zip(row, steps, strict=True)]
        for row in scores_of(replace(event, tokens=tokens), says)
    ]


def scores_of(event: NewTokens, says: Callable[[int], str]) -> list[list[Score]]:
    """The scores of an event's tokens, empty where a text had ended."""
    assert event.nats is not None
    none = event.tokens.new_zeros(*event.tokens.shape, 0)
    columns = (event.tokens, event.nats, none if event.top is None else event.top)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [[_score(says, *one) for one in zip(*row, strict=True)] for row in rows]


def _score(says: Callable[[int], str], token: int, nats: list[float], top: list[int]) -> Score:
    if token < 0:
        return Score("", 0.0)
    best = ((says(one), value) for one, value in zip(top, nats[1:], strict=True))
    return Score(says(token), nats[0], tuple(best))


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
