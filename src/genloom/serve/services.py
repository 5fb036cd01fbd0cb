"""What the routes need, made once when the server starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request

from genloom.serve.figures import Figures
from genloom.serve.known import Known
from genloom.serve.making import Maker
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


def services(request: Request) -> Services:
    """Those of the request's app."""
    return request.app.state.services


def unknown_fields(extra: Mapping[str, Any] | None) -> dict[str, str]:
    """The header that names fields which nobody read; none for none."""
    names = ", ".join(sorted(name[:40] for name in extra or {}))
    plain = names.encode("ascii", "replace").decode()[:500]
    return {"x-genloom-ignored": plain} if plain else {}
