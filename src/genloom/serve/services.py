"""What the routes need, made once when the server starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fastapi import Request

from genloom.serve.figures import Figures
from genloom.serve.known import Known
from genloom.serve.making import Maker
from genloom.serve.problems import Problem
from genloom.serve.sessions import Sessions
from genloom.serve.settings import Settings
from genloom.serve.store import (
    Batches,
    Blobs,
    Files,
    Folders,
    Jobs,
    Keys,
    Records,
    Store,
    Votes,
)

if TYPE_CHECKING:
    from genloom.safety.marks.identity import Identity
    from genloom.safety.policy import Policy
    from genloom.serve.engine.pool import Pool


@dataclass
class Services:
    """One server's parts; `app.state.services`."""

    settings: Settings
    models: dict[str, Known]
    store: Store
    blobs: Blobs
    keys: Keys
    records: Records
    files: Files
    folders: Folders
    jobs: Jobs
    batches: Batches
    votes: Votes
    sessions: Sessions
    pool: Pool
    maker: Maker
    policy: Policy | None
    identity: Identity | None
    figures: Figures


CLOSE = 0.75  # shares of letters that two names have in common; no two of OpenAI's fields have so
MOST_FIELDS, LONGEST = 64, 40  # that are compared, and characters of their names


def services(request: Request) -> Services:
    """Those of the request's app."""
    return request.app.state.services


def check_fields(
    extra: Mapping[str, Any] | None, fields: Iterable[str], options: Iterable[str] = ()
) -> None:
    """Refuse fields that nobody reads and that are nearly the name of one that is read.

    All others are let through: clients send what other servers read.

    Args:
        extra: Fields of a body, without those that are left out on purpose.
        fields: That the route reads.
        options: Names that it reads within its field `options`.

    Raises:
        Problem: One of the first fields is so.
    """
    known = {name: name for name in fields} | {name: f"options.{name}" for name in options}
    for name in sorted(extra or {})[:MOST_FIELDS]:
        close = get_close_matches(name[:LONGEST], known, 1, cutoff=CLOSE)
        if close:
            hint = f"did you mean {known[close[0]]!r}?"
            text = f"this route takes no {name[:LONGEST]!r}; {hint} Correct it, or leave it out."
            raise Problem(400, text, code="unknown_parameter", param=name[:LONGEST])


def unknown_fields(extra: Mapping[str, Any] | None) -> dict[str, str]:
    """The header that names fields which nobody read; none for none."""
    names = ", ".join(sorted(name[:LONGEST] for name in extra or {}))
    plain = names.encode("ascii", "replace").decode()[:500]
    return {"x-genloom-ignored": plain} if plain else {}
