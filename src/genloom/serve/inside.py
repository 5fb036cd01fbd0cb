"""Requests that the server makes to itself, for whoever asked: the same routes, no network."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp, Message

from genloom.serve.guard import INSIDE
from genloom.serve.store import Key


async def ask(app: ASGIApp, caller: Key, path: str, body: Any, request_id: str) -> tuple[int, Any]:
    """POST to a route as this caller; the status, and the JSON of the answer.

    Cancelling it cancels the request.
    """
    headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
        INSIDE: caller,
    }
    waiting = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    status, parts = 500, []

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        return await asyncio.get_running_loop().create_future()  # nobody hangs up

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, json.loads(b"".join(parts))
