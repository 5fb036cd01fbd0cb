"""Every failure in the shape that OpenAI's clients read, with the status that fits it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from genloom.errors import BadInput, GenloomError
from genloom.serve.engine.faults import Full, Unavailable
from genloom.serve.store import Held, NotFound, Refusal

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    421: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    501: "invalid_request_error",
    503: "server_error",
}


@final
class Problem(GenloomError):
    """An answer that is not a success.

    Args:
        status: Of HTTP.
        message: What is wrong, what would be right.
        code: A word for programs.
        param: The field that is wrong.
        headers: More headers, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """`{"error": {message, type, param, code}}`."""
        return problem(self.status, str(self), code=self.code, param=self.param)

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse(self.body(), self.status, self.headers)


def problem(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """The body of an error."""
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def as_problem(error: Exception) -> Problem:
    """What a caller is told of an error: all of his own, nothing of ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NotFound):
        return Problem(404, str(error), code="not_found")
    if isinstance(error, Held):
        return Problem(403, str(error), code="held")
    if isinstance(error, Refusal):
        wait = {"Retry-After": str(math.ceil(error.retry_after_s))}
        return Problem(429, str(error), code="rate_limit_exceeded", headers=wait)
    if isinstance(error, Full):
        wait = {"Retry-After": str(error.retry_after_s)}
        return Problem(429, str(error), code="queue_full", headers=wait)
    if isinstance(error, Unavailable):
        wait = {"Retry-After": str(error.retry_after_s)}
        return Problem(503, str(error), code="unavailable", headers=wait)
    if isinstance(error, BadInput):
        return Problem(400, str(error), code="invalid_value")
    if isinstance(error, HTTPException):
        missing = error.status_code == 404
        text = "there is no such route or item." if missing else str(error.detail)
        return Problem(error.status_code, text, code="not_found" if missing else None)
    return Problem(500, "the server failed; its log says more.", code="internal")


def _no_json(error: Mapping[str, Any]) -> str:
    """Where a body stops being JSON, and why."""
    why = error.get("ctx", {}).get("error", error["msg"])
    at = [part for part in error["loc"] if isinstance(part, int)]  # characters before it
    return f"the body is no JSON{f' at character {at[-1] + 1}' if at else ''}: {why}."


def explain(app: FastAPI) -> None:
    """Have the app answer with `Problem`s alone, never with FastAPI's own shape."""

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return Problem(400, _no_json(first), code="invalid_value").response()
        where = ".".join(str(part) for part in first["loc"] if part != "body") or None
        text = f"{where}: {first['msg']}." if where else f"{first['msg']}."
        missing = first["type"] == "missing"
        code = "missing_required_parameter" if missing else "invalid_value"
        return Problem(400, text, code=code, param=where).response()

    for kind in (GenloomError, HTTPException, Exception):

        @app.exception_handler(kind)
        async def _(_: Request, error: Exception) -> JSONResponse:
            return as_problem(error).response()
