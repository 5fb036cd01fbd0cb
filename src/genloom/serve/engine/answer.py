"""The answer to one request, as it comes: events, then one end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import final

from genloom.errors import BadInput, GenloomError
from genloom.serve.engine.faults import ModelUnavailable, RequestFailed
from genloom.serve.engine.messages import FINAL, Cancelled, Done, Event, Failed
from genloom.serve.engine.request import Encode, Request

OWN = {"BadInput": BadInput, "ModelUnavailable": ModelUnavailable}


@final
class Line:
    """What the pool keeps of a request until its end.

    Args:
        request: As it came.
    """

    def __init__(self, request: Request | Encode):
        self.request = request
        self.ended = False  # there was a last event or an error
        self.left = False  # nobody listens any more
        self._news: deque[Event | GenloomError] = deque()
        self._ring = asyncio.Event()

    def put(self, news: Event | GenloomError) -> None:
        """Hand on an event; an error, Done, Failed and Cancelled are the end."""
        last = isinstance(news, (*FINAL, GenloomError))
        if self.ended or (self.left and not last):
            return
        self.ended = last
        self._news.append(news)
        self._ring.set()

    async def get(self) -> Event:
        """The next event.

        Raises:
            GenloomError: The request has failed.
            StopAsyncIteration: It has ended, and everything was given.
        """
        while not self._news:
            if self.ended:
                raise StopAsyncIteration
            self._ring.clear()
            await self._ring.wait()
        news = self._news.popleft()
        if isinstance(news, Failed):
            own = OWN.get(news.error)
            raise own(news.message) if own else RequestFailed(news.error, news.message)
        if isinstance(news, GenloomError):
            raise news
        return news


@final
class Answer:
    """An asynchronous iterator over the events of one request; `Done` or `Encoded` is last.

    Whoever stops listening cancels: by `cancel`, by leaving `async with`, by the cancellation of
    the task that waits for the next event, or by dropping the answer.
    """

    def __init__(self, line: Line, leave: Callable[[Line], None]):
        self._line, self._leave = line, leave

    @property
    def id(self) -> str:
        """The request's."""
        return self._line.request.id

    def cancel(self) -> None:
        """Ask for no more; without effect after the end."""
        if not self._line.ended and not self._line.left:
            self._leave(self._line)

    async def result(self) -> Done:
        """The last event; those before it are passed over.

        Raises:
            GenloomError: The request has failed: BadInput, RequestFailed or Unavailable.
        """
        async for event in self:
            if isinstance(event, Done):
                return event
        raise RequestFailed("Cancelled", f"the request {self.id} was cancelled.")

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> Event:
        try:
            event = await self._line.get()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if isinstance(event, Cancelled):
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Answer:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    def __del__(self) -> None:
        self.cancel()
