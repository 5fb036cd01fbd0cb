"""What the routes need, made once when the server starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


SHORTEST = 4  # letters of a name that may be misspelt: short ones are all near each other
FOREIGN = {"mode", "models", "top_a"}  # of other servers, a letter from one that is read here
MOST_FIELDS, LONGEST = 64, 40  # that are compared, and characters of their names


def services(request: Request) -> Services:
    """Those of the request's app."""
    return request.app.state.services


def check_fields(
    extra: Mapping[str, Any] | None, fields: Iterable[str], options: Iterable[str] = ()
) -> None:
    """Refuse fields that nobody reads and that are a slip away from one that was not sent.

    All others are let through: clients send what other servers read.

    Args:
        extra: Fields of a body, without those that are left out on purpose.
        fields: That the route reads and that were not sent.
        options: The same of names within its field `options`.

    Raises:
        Problem: One of the first fields is so.
    """
    known = {name: name for name in fields} | {name: f"options.{name}" for name in options}
    for name in sorted(extra or {})[:MOST_FIELDS]:
        if name in FOREIGN or (extra or {})[name] is None:
            continue
        meant = [one for one in sorted(known) if one == name or _slip(name, one)]
        if meant:
            hint = f"did you mean {known[meant[0]]!r}?"
            text = f"this route takes no {name[:LONGEST]!r}; {hint} Correct it, or leave it out."
            raise Problem(400, text, code="unknown_parameter", param=name[:LONGEST])


def _slip(name: str, meant: str) -> bool:
    """Whether a letter more, less or other, or two in the wrong order, makes one of the other."""
    pairs = zip(name, meant, strict=False)
    first = next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(name), len(meant)))
    a, b = name[first:], meant[first:]
    swapped = a[:2] == b[1::-1] and a[2:] == b[2:]
    one = b in (a, a[1:]) or a[1:] == b[1:] or a == b[1:]
    return len(meant) >= SHORTEST and (one or swapped)


def unknown_fields(extra: Mapping[str, Any] | None) -> dict[str, str]:
    """The header that names fields which nobody read; none for none."""
    names = ", ".join(sorted(name[:LONGEST] for name in extra or {}))
    plain = re.sub(r"[^ -~]", "?", names)[:500]  # nothing that ends a line of the headers
    return {"x-genloom-ignored": plain} if plain else {}
