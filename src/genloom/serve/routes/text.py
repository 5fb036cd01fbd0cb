"""Text, as OpenAI's clients ask for it: completions, and conversations as plain text.

A model made here goes on from what it is given, a token at a time, up to its window. There is
no template language: a conversation is its messages, one a line, and nothing in them is special.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from genloom.decoding.writing import Score, Writing
from genloom.lexicon import Lexicon
from genloom.serve.asked import Asked
from genloom.serve.engine.messages import NewTokens
from genloom.serve.events import Named, collected, merged, streamed
from genloom.serve.guard import allow
from genloom.serve.known import Known, named
from genloom.serve.making import Finished
from genloom.serve.problems import Problem
from genloom.serve.services import Services, services, unknown_fields
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
)

router = APIRouter(prefix="/v1")


@router.post("/completions")
async def complete(request: Request, body: Completion) -> Response:
    """Go on from prompts."""
    allow(request, "generate")
    parts = services(request)
    known = _writer(parts, body.model)
    wishes = completions(body, known, parts.settings.limits)
    return await _answer(request, body, known, wishes, COMPLETION)


@router.post("/chat/completions")
async def chat(request: Request, body: Chat) -> Response:
    """Go on from a conversation."""
    allow(request, "generate")
    parts = services(request)
    known = _writer(parts, body.model)
    wish = conversation(body, known, parts.settings.limits)
    return await _answer(request, body, known, [wish], CHAT)


async def _answer(
    request: Request, body: Common, known: Known, wishes: Sequence[Wish], form: Form
) -> Response:
    """The texts of all wishes, as if each had been asked for alone."""
    parts = services(request)
    pairs = [asked_of(body, known, wish, parts.settings.limits) for wish in wishes]
    read = (*known.options, *ACCEPTED)
    headers = unknown_fields({k: v for k, v in (body.model_extra or {}).items() if k not in read})
    told = Told(
        form,
        known.name,
        sum(len(asked.prompt) for asked, _ in pairs),
        *(writing for _, writing in pairs),
        with_usage=bool((body.stream_options or {}).get("include_usage")),
        with_scores=pairs[0][0].logprobs is not None,
        before=[wish.told if wish.echo else "" for wish in wishes],
    )
    pieces = merged(
        [
            _pieces(request, parts, asked, writing, told, k * body.n)
            for k, (asked, writing) in enumerate(pairs)
        ]
    )
    if body.stream:
        return await streamed(request, _stream(pieces, told), headers)
    await collected(request, pieces)
    return JSONResponse(told.whole(), headers=headers)


async def _pieces(
    request: Request, parts: Services, asked: Asked, writing: Writing, told: Told, first: int
) -> AsyncGenerator[tuple[int, str]]:
    """(index, new text) until every text has ended; see `Maker.make` for filters.

    Args:
        request: Who asks.
        parts: Of the server.
        asked: What is made.
        writing: Its texts, which grow.
        told: Takes the scores of the prompt, where they are asked for.
        first: The index of the first text.
    """
    lexicon = writing.lexicon
    async with aclosing(parts.maker.make(allow(request, "generate"), asked)) as events:
        async for event in events:
            if isinstance(event, NewTokens):
                scores = None if asked.logprobs is None else scores_of(event, lexicon)
                if event.start < len(asked.prompt):
                    told.read(first, scores or [])
                    continue
                for i, piece in writing.add(event.tokens.tolist(), scores):
                    yield first + i, piece
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
