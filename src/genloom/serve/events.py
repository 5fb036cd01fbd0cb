"""Server-sent events whose first failure is still an answer with a status."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from torch import Tensor

from genloom.core import Items
from genloom.serve import media
from genloom.serve.problems import Problem, as_problem

T = TypeVar("T")

Named = tuple[str | None, Mapping[str, Any]]  # the event's name, and its data
END = "data: [DONE]\n\n"


async def streamed(
    request: Request, events: AsyncGenerator[Named], headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """Send events as they come, then [DONE].

    The first one is awaited before the status is sent, so that a refusal is a refusal. A failure
    after that is an event `error`. Closing the connection closes the iterator, at any time.

    Raises:
        Problem: 499, which nobody reads.
    """
    gone = asyncio.create_task(_gone(request))
    try:
        first = await _next(events, gone)
    except BaseException:
        await events.aclose()
        raise
    finally:
        gone.cancel()

    async def lines() -> AsyncIterator[str]:
        try:
            if first is not None:
                yield _line(first)
            async for event in events:
                yield _line(event)
        except Exception as error:  # the status is sent: what is left is to say it in the stream
            yield _line(("error", as_problem(error).body()))
        finally:
            await events.aclose()
        yield END

    return StreamingResponse(lines(), media_type="text/event-stream", headers=dict(headers or {}))


async def collected(request: Request, events: AsyncGenerator[T]) -> list[T]:
    """All events, unless the caller hangs up before: then the work is stopped.

    Raises:
        Problem: 499, which nobody reads.
    """
    gone = asyncio.create_task(_gone(request))
    found: list[T] = []
    try:
        while True:
            event = await _next(events, gone)
            if event is None:
                return found
            found.append(event)
    finally:
        gone.cancel()
        await events.aclose()


async def merged(each: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[T]:
    """The events of all, as they come; the first failure, or the end of this, ends them all."""
    coming = {asyncio.ensure_future(anext(one, None)): one for one in each}
    try:
        while coming:
            done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                one, event = coming.pop(task), task.result()
                if event is not None:
                    coming[asyncio.ensure_future(anext(one, None))] = one
                    yield event
    finally:
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        for one in each:
            await one.aclose()


async def _next(events: AsyncGenerator[T], gone: asyncio.Task[None]) -> T | None:
    """The next event, None at the end; the iterator is cancelled where the caller goes before."""
    following = asyncio.ensure_future(anext(events, None))
    try:
        await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            return following.result()
        raise Problem(499, "the caller has gone.", code="gone")
    finally:
        if not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Return when the caller has hung up; the body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _line(event: Named) -> str:
    name, data = event
    text = json.dumps(data, ensure_ascii=False)
    return f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n"


def base64_of(content: bytes) -> str:
    """As JSON carries bytes."""
    return base64.b64encode(content).decode()


def preview_of(item: Tensor, items: Items) -> str:
    """A guess on the way, as a base64 PNG for pictures and as JSON for all else."""
    form = "png" if items.kind == "image" else "json"
    return base64_of(media.encode(item, items, form, {}))
