"""The door of the server: one place that lets a request in, or does not.

Default deny: a path is open, or under /v1/ and behind a key; everything else does not exist. Checks
of the host and of where a browser comes from hold for every method, reading included.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genloom.serve.figures import Figures
from genloom.serve.problems import Problem
from genloom.serve.store import Key
from genloom.serve.store.keys import SCOPES

OPEN = ("/", "/healthz", "/readyz")  # without a key, and what lies under /studio/
UPLOADS = "/v1/files"
SIGN_IN = ("POST", "/v1/session")  # open as well, and counted where it fails
INSIDE = "genloom.caller"  # of a request that the server makes itself; no client can set it
BODIES = ("application/json", "multipart/form-data")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
COOKIE = "genloom_session"
PAGE = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; " + (
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
DATA = "sandbox; default-src 'none'; frame-ancestors 'none'"
log = logging.getLogger("genloom.access")


LOCAL = Key("local", "local", SCOPES, None, None, 0.0, None)  # who has this machine itself


@final
class Guard:
    """ASGI middleware around the whole app.

    Args:
        app: What is behind the door.
        authenticate: A key's secret -> the key, or None.
        session: A session cookie's value -> its key, or None.
        keyless: Whether no key exists, so that whoever reaches this machine may do everything.
        hosts: Host names (without port) that the server answers to.
        max_body: Bytes of a request's body.
        max_file: Bytes of one that uploads a file to be kept.
        figures: Where answers are counted.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticate: Callable[[str], Key | None],
        session: Callable[[str], Key | None],
        keyless: Callable[[], bool],
        hosts: frozenset[str],
        max_body: int,
        max_file: int,
        figures: Figures,
    ):
        self.app, self.authenticate, self.session, self.keyless = (
            app,
            authenticate,
            session,
            keyless,
        )
        self.hosts, self.figures = hosts, figures
        self.max_body, self.max_file = max_body, max_file
        self.failures: dict[str, tuple[float, float]] = {}  # client -> (tokens, when)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on; log the answer without its content."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # nothing here speaks web sockets
            return await send({"type": "websocket.close", "code": 1008})
        start, status = time.perf_counter(), 500
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _harden(MutableHeaders(scope=message), scope["path"], request_id)
            await send(message)

        try:
            scope["state"]["caller"] = scope.get(INSIDE) or self._admit(scope, headers)
            await self.app(scope, self._limited(receive, self._most(scope)), answer)
        except Problem as problem:
            await problem.response()(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            if status == 401 and (scope["method"], scope["path"]) == SIGN_IN:
                self._note_failure(_client(scope))
            seconds = time.perf_counter() - start
            self.figures.answered(route, status, seconds)
            caller = scope["state"].get("caller")
            line = {
                "id": request_id,
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": round(1000 * seconds, 1),
                "key": caller.name if caller else None,
            }
            log.info(json.dumps(line))

    def _admit(self, scope: Scope, headers: Headers) -> Key | None:
        """The caller, None on open paths.

        Raises:
            Problem: The request must not come in.
        """
        check_place(headers, self.hosts)
        if scope["method"] in ("POST", "PUT", "PATCH"):
            self._check_body(headers, self._most(scope))
        path = scope["path"]
        if path in OPEN or path.startswith("/studio/"):
            return None
        if (scope["method"], path) == SIGN_IN:
            self._check_failures(_client(scope))
            return None
        if not path.startswith("/v1/") and path != "/metrics":
            raise Problem(404, "there is no such route.", code="not_found")
        return self._caller(scope, headers)

    def _caller(self, scope: Scope, headers: Headers) -> Key:
        word, _, secret = headers.get("authorization", "").partition(" ")
        client = _client(scope)
        if word.lower() == "bearer" and secret:
            closed = not self.keyless()
            if closed:
                self._check_failures(client)
            caller = self.authenticate(secret.strip())  # a key of a moment ago counts already
            if caller is None and closed:
                self._note_failure(client)
        else:
            caller = self.session(_cookie(headers)) if _cookie(headers) else None
        if caller is None and self.keyless():
            return LOCAL
        if caller is None:
            raise Problem(
                401,
                "a valid key is needed: Authorization: Bearer gl-... `genloom keys add` makes one.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return caller

    def _most(self, scope: Scope) -> int:
        return self.max_file if scope["path"] == UPLOADS else self.max_body

    def _check_body(self, headers: Headers, most: int) -> None:
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise Problem(413, f"a body has at most {most} bytes.", code="too_large")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        empty = length == "0" and "transfer-encoding" not in headers
        if kind not in BODIES and not empty:
            raise Problem(400, f"a body is {' or '.join(BODIES)}, not {kind[:50]!r}.")

    def _limited(self, receive: Receive, most: int) -> Receive:
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise Problem(413, f"a body has at most {most} bytes.", code="too_large")
            return message

        return limited

    def _check_failures(self, client: str, *, per_minute: float = 30.0) -> None:
        tokens, when = self.failures.get(client, (per_minute, 0.0))
        now = time.monotonic()
        tokens = min(per_minute, tokens + (now - when) * per_minute / 60)
        self.failures[client] = tokens, now
        if tokens < 1:
            raise Problem(
                429,
                "too many wrong keys from here: wait a minute.",
                code="too_many_failures",
                headers={"Retry-After": "60"},
            )

    def _note_failure(self, client: str) -> None:
        if len(self.failures) > 10_000:
            self.failures.clear()
        tokens, when = self.failures.get(client, (30.0, time.monotonic()))
        self.failures[client] = tokens - 1, when


def check_place(headers: Mapping[str, str], hosts: frozenset[str]) -> None:
    """Refuse a foreign Host, and a request that a foreign page made.

    Raises:
        Problem: 421 or 403.
    """
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name.lower() not in hosts:
        raise Problem(421, f"this server is not {name[:100]!r}.", code="unknown_host")
    site = headers.get("sec-fetch-site", "none")
    origin = headers.get("origin")
    if site not in ("none", "same-origin") or (
        origin is not None and origin not in (f"http://{host}", f"https://{host}")
    ):
        raise Problem(403, "requests from other sites are refused.", code="foreign_origin")


def allow(request: Any, scope: str) -> Key:
    """The caller, if his key has the scope.

    Raises:
        Problem: 403.
    """
    caller: Key = request.scope["state"]["caller"]
    if scope not in caller.scopes:
        raise Problem(403, f"this key has no scope {scope!r}.", code="missing_scope")
    return caller


def _harden(headers: MutableHeaders, path: str, request_id: str) -> None:
    page = path == "/" or path.startswith("/studio/")
    headers["x-request-id"] = request_id
    headers["x-content-type-options"] = "nosniff"
    headers["content-security-policy"] = PAGE if page else DATA
    headers["referrer-policy"] = "no-referrer"
    headers["cross-origin-resource-policy"] = "same-origin"
    headers.setdefault("cache-control", "no-cache" if page else "no-store")


def _client(scope: Scope) -> str:
    return (scope.get("client") or ("unknown", 0))[0]


def _cookie(headers: Headers) -> str:
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
