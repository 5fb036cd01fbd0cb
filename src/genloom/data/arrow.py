"""Documents in Parquet files and in data sets of `datasets`, both of which are tables of Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from genloom.data.documents import PART, Rows, Table, row_documents
from genloom.data.findings import Finding
from genloom.data.source import Source
from genloom.data.turns import chosen_columns


class Shard(NamedTuple):
    """One table, not yet read.

    Args:
        name: For messages.
        part: As `Entry.part`.
        columns: Names of all.
        batches: Reads those that are named, `pyarrow.RecordBatch` after `pyarrow.RecordBatch`.
    """

    name: str
    part: str
    columns: list[str]
    batches: Callable[[list[str]], Iterable[Any]]


def arrow_documents(form: str, shards: Sequence[Shard], columns: tuple[str, ...]) -> Source:
    """Rows of tables as documents; a row with text that is no UTF-8 is left out.

    Args:
        form: As `Source.form`.
        shards: The tables.
        columns: See `documents.row_documents`.

    Raises:
        BadInput: A table has no text, or not the columns.
    """
    tables = []
    for name, part, names, batches in shards:
        wanted = [*chosen_columns(dict.fromkeys(names), columns, name)]
        wanted += [key for key in PART if key in names]
        tables.append(Table(name, part, partial(_rows, name, partial(batches, wanted))))
    return row_documents(form, tables, columns)


def _rows(name: str, batches: Callable[[], Iterable[Any]], findings: list[Finding]) -> Rows:
    line = 0
    for batch in batches():
        try:
            some = batch.to_pylist()
        except UnicodeDecodeError:  # one row of them is none: find out which
            some = [_row(batch.slice(i, 1)) for i in range(len(batch))]
        for row in some:
            line += 1
            if row is None:
                findings.append(Finding(f"{name}:{line}", "not_utf8", "left out"))
            else:
                yield line, row


def _row(batch: Any) -> dict[str, Any] | None:
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError:
        return None
