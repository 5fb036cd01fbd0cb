"""Rows as the dataclasses of their tables, found by owner."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, CursorResult, RowMapping, Table, select

from genloom.errors import BadInput
from genloom.serve.store.errors import NotFound
from genloom.serve.store.ids import checked

T = TypeVar("T")
MOST = 1000  # rows of a page


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items of a list, newest first.

    Args:
        items: These.
        more: Whether older ones follow; ask again with `after` the id of the last item.
    """

    items: list[T]
    more: bool


def made(kind: type[T], row: Mapping[Any, Any]) -> T:
    """The dataclass of a row; its fields are named like the columns."""
    return kind(**{field.name: row[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def owned(
    connection: Connection, table: Table, owner: str, item_id: str, *, lock: bool = False
) -> RowMapping:
    """The row of an owner's item.

    Args:
        connection: Within a transaction.
        table: One with owners.
        owner: Whoever asks.
        item_id: As it came, of any form.
        lock: Keep others from changing the row until the transaction ends.

    Raises:
        NotFound: There is none, or it is another's.
    """
    what = table.info["item"]
    query = select(table).where(table.c.id == checked(item_id, what), table.c.owner == owner)
    return found(connection.execute(query.with_for_update() if lock else query), table)


def found(result: CursorResult[Any], table: Table) -> RowMapping:
    """The only row of a result.

    Raises:
        NotFound: It has none.
    """
    row = result.mappings().one_or_none()
    if row is None:
        raise NotFound(table.info["item"])
    return row


def page(
    connection: Connection,
    table: Table,
    make: Callable[[RowMapping], T],
    *where: ColumnElement[bool],
    after: str | None,
    limit: int,
) -> Page[T]:
    """A page of the rows that fulfil `where`, newest first.

    Args:
        connection: Within a transaction.
        table: One with places.
        make: Gives the item of a row.
        where: Which rows the caller may see.
        after: The id of the last item of the page before; None for the first page.
        limit: At most so many rows, 1 to 1000.

    Raises:
        BadInput: The limit is out of its range.
        NotFound: There is no such `after` among the rows that the caller may see.
    """
    if not 1 <= limit <= MOST:
        raise BadInput(f"limit = {limit}: it must be 1 to {MOST}.")
    query = select(table).where(*where).order_by(table.c.place.desc()).limit(limit + 1)
    if after is not None:
        what = table.info["item"]
        place = connection.scalar(
            select(table.c.place).where(table.c.id == checked(after, what), *where)
        )
        if place is None:
            raise NotFound(what)
        query = query.where(table.c.place < place)
    rows = connection.execute(query).mappings().all()
    return Page([make(row) for row in rows[:limit]], len(rows) > limit)


def plain(value: Any, what: str, most: int) -> Any:
    """The value, if it is JSON of at most `most` bytes.

    Raises:
        BadInput: It is not, or it is longer.
    """
    try:
        size = len(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{what} is not JSON: {error}.") from error
    if size > most:
        raise BadInput(f"{what} has {size} bytes as JSON: at most {most} are kept.")
    return value
