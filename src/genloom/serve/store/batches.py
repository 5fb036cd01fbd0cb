"""Batches of requests, with the states of the OpenAI interface; a job of the queue works on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from sqlalchemy import RowMapping, insert, select, update

from genloom.errors import BadInput
from genloom.serve.store.database import Store
from genloom.serve.store.ids import checked, fresh, shown
from genloom.serve.store.rows import Page, found, made, owned, page, plain
from genloom.serve.store.tables import batches, files

LARGEST = 2**16  # bytes of the metadata, and of the errors
DAY_S = 86_400
NEXT = {
    "validating": ("in_progress", "failed", "cancelling", "expired"),
    "in_progress": ("finalizing", "failed", "cancelling", "expired"),
    "finalizing": ("completed", "failed"),
    "cancelling": ("cancelled",),
}
"""Status -> those that may follow; the others are final."""


@dataclass(frozen=True)
class Batch:
    """A batch as it was when it was read.

    Args:
        id: Of the batch.
        owner: Who may see it.
        endpoint: Where its requests go, such as "/v1/images/generations".
        input_file: Id of the file of requests.
        completion_window: As it was asked for, "24h".
        metadata: The owner's own.
        status: A key of NEXT, or a final one.
        total: Requests in the file; 0 until they are counted.
        completed: Of them, those that were answered.
        failed: Of them, those that were not.
        output_file: Id of the file of answers, or None.
        error_file: Id of the file of errors, or None.
        errors: Why the input file was refused, or None.
        times: Status -> when it was reached, seconds since 1970.
        created: Seconds since 1970, like the next.
        expires: When it is given up.
    """

    id: str
    owner: str
    endpoint: str
    input_file: str
    completion_window: str
    metadata: Mapping[str, Any]
    status: str
    total: int
    completed: int
    failed: int
    output_file: str | None
    error_file: str | None
    errors: Any
    times: Mapping[str, float]
    created: float
    expires: float


@final
class Batches:
    """The batches of a store."""

    def __init__(self, store: Store):
        self.store = store

    def add(
        self,
        owner: str,
        input_file: str,
        endpoint: str,
        metadata: Mapping[str, Any],
        *,
        window_s: float = DAY_S,
    ) -> Batch:
        """A new batch over a file of the owner.

        Raises:
            NotFound: There is no such file, or it is another's.
            BadInput: The metadata is not JSON of 64 KiB.
        """
        now = self.store.clock()
        values = {
            "id": fresh(),
            "owner": owner,
            "endpoint": shown(endpoint),
            "input_file": input_file,
            "completion_window": f"{window_s / 3600:g}h",
            "metadata": plain(dict(metadata), "metadata", LARGEST),
            "status": "validating",
            "total": 0,
            "completed": 0,
            "failed": 0,
            "times": {},
            "created": now,
            "expires": now + window_s,
        }
        with self.store.writing() as connection:
            owned(connection, files, owner, input_file, lock=True)
            added = insert(batches).values(values).returning(batches)
            return _batch(connection.execute(added).mappings().one())

    def get(self, owner: str, batch_id: str) -> Batch:
        """An owner's batch.

        Raises:
            NotFound: There is none, or it is another's; so below.
        """
        with self.store.reading() as connection:
            return _batch(owned(connection, batches, owner, batch_id))

    def page(self, owner: str, *, after: str | None = None, limit: int = 20) -> Page[Batch]:
        """An owner's batches, newest first; `after` is the id of the last one seen."""
        mine = batches.c.owner == owner
        with self.store.reading() as connection:
            return page(connection, batches, _batch, mine, after=after, limit=limit)

    def cancel(self, owner: str, batch_id: str) -> Batch:
        """Ask for the end of an owner's batch; whoever works on it then moves it to cancelled.

        Raises:
            BadInput: It has ended, or is about to.
        """
        with self.store.reading() as connection:
            batch = _batch(owned(connection, batches, owner, batch_id))
        return batch if batch.status == "cancelling" else self.move(batch_id, "cancelling")

    def move(self, batch_id: str, status: str, **changes: Any) -> Batch:
        """Take any owner's batch to its next status, for whoever works on it.

        Args:
            batch_id: Of the batch.
            status: One that may follow.
            changes: Of total, completed, failed, output_file, error_file and errors.

        Raises:
            BadInput: The status cannot follow the one that the batch has now.
            NotFound: There is no such batch.
        """
        with self.store.writing() as connection:
            mine = batches.c.id == checked(batch_id, "batch")
            query = select(batches).where(mine).with_for_update()
            row = found(connection.execute(query), batches)
            if status not in NEXT.get(row["status"], ()):
                raise BadInput(f"the batch is {row['status']}: it cannot become {status}.")
            times = row["times"] | {status: self.store.clock()}
            values = _allowed(changes) | {"status": status, "times": times}
            moved = update(batches).where(mine).values(values).returning(batches)
            return _batch(connection.execute(moved).mappings().one())

    def count(self, batch_id: str, *, completed: int, failed: int) -> Batch:
        """Note how many requests of any owner's batch are done; its status tells whether to go on.

        Raises:
            NotFound: There is no such batch.
        """
        done = {"completed": completed, "failed": failed}
        mine = batches.c.id == checked(batch_id, "batch")
        with self.store.writing() as connection:
            counted = update(batches).where(mine).values(done).returning(batches)
            return _batch(found(connection.execute(counted), batches))


def _allowed(changes: Mapping[str, Any]) -> dict[str, Any]:
    known = ("total", "completed", "failed", "output_file", "error_file", "errors")
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise BadInput(f"a batch's {', '.join(unknown)} cannot be set; known: {', '.join(known)}.")
    return {**changes, "errors": plain(changes.get("errors"), "errors", LARGEST)}


def _batch(row: RowMapping) -> Batch:
    return made(Batch, row)
