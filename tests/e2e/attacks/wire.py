"""HTTP as an attacker writes it: the bytes of the request are ours, nothing tidies them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final
from urllib.parse import urlsplit

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def field(name: str, content: bytes, filename: str | None = None) -> bytes:
    """One part of a form with the boundary b; what ends the form is not in it."""
    place = "" if filename is None else f'; filename="{filename}"'
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{place}\r\n\r\n'
    return head.encode() + content + b"\r\n"


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        status: Of HTTP; 0 where the server hung up without a word.
        headers: Lower-case name -> value.
        body: Whole.
        seconds: From the first byte sent to the last one read.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        return json.loads(self.body)


@final
class Wire:
    """Asks one server; a connection is kept until the server closes it.

    Args:
        url: Of the server.
        headers: Of every request; a request's own ones come instead of them.
    """

    def __init__(self, url: str, **headers: str):
        place = urlsplit(url)
        self.place = (place.hostname or "", place.port or 80)
        self.headers = {"Host": place.netloc, **headers}
        self.socket: socket.socket | None = None

    def with_key(self, secret: str) -> Wire:
        """The same, with a key."""
        host, port = self.place
        return Wire(f"http://{host}:{port}", **self.headers, Authorization=f"Bearer {secret}")

    def ask(
        self,
        method: str,
        target: str | bytes,
        body: bytes | Any = b"",
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """One request and its answer. A body that is not bytes is sent as JSON."""
        more: dict[str, str | None] = dict(headers or {})
        if not isinstance(body, bytes):
            more, body = {**JSON, **more}, json.dumps(body).encode()
        if body or method in ("POST", "PUT", "PATCH"):
            more = {"Content-Length": str(len(body)), **more}
        lines = {**self.headers, **more}
        raw = target if isinstance(target, bytes) else target.encode()
        head = b"".join(f"{k}: {v}\r\n".encode() for k, v in lines.items() if v is not None)
        return self.send(method.encode() + b" " + raw + b" HTTP/1.1\r\n" + head + b"\r\n" + body)

    def send(self, request: bytes) -> Answer:
        """Bytes, and the answer to them."""
        start, fresh = time.perf_counter(), self.socket is None
        found = self._exchange(request)
        if found is None and not fresh:  # the server had closed the kept connection meanwhile
            found = self._exchange(request)
        status, headers, body = found or (0, {}, b"")
        return Answer(status, headers, body, time.perf_counter() - start)

    def close(self) -> None:
        """End the connection."""
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def _exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes] | None:
        if self.socket is None:
            self.socket = socket.create_connection(self.place, timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):  # it may refuse in the middle of a large body, and say why
            self.socket.sendall(request)
        try:
            with self.socket.makefile("rb") as stream:
                found = _read(stream, bodyless=request.startswith(b"HEAD "))
        except OSError:
            found = None
        if found is None or found[1].get("connection") == "close":
            self.close()
        return found


def _read(stream: Any, *, bodyless: bool) -> tuple[int, dict[str, str], bytes] | None:
    first = stream.readline().split(b" ", 2)
    if len(first) < 2:
        return None
    headers = {}
    while (line := stream.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = b""
    if bodyless:
        pass
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(stream.readline() or b"0", 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    else:
        body = stream.read(int(headers.get("content-length", 0)))
    return int(first[1]), headers, body
