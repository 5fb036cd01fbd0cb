"""The tables as they are now; `migrations/` says how they came to be.

`place` numbers rows in the order in which they were added. Times are seconds since 1970 (UTC).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.schema import SchemaItem

metadata = MetaData()
Json = JSON(none_as_null=True)


def _table(name: str, item: str, *items: SchemaItem) -> Table:
    """A table whose rows, each called `item`, belong to owners and are listed by place."""
    return Table(
        name,
        metadata,
        # Only a column of SQLite's own type INTEGER counts up by itself.
        Column("place", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("id", Text, nullable=False),
        Column("owner", Text, nullable=False),
        Column("created", Double, nullable=False),
        *items,
        Index(f"{name}_id", "id", unique=True),
        Index(f"{name}_owner", "owner", "place"),
        info={"item": item},
        sqlite_autoincrement=True,  # a number is never given twice, whatever was deleted
    )


keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("per_minute", Integer),
    Column("per_day", Integer),
    Column("created", Double, nullable=False),
    Column("revoked", Double),
    Index("keys_digest", "digest", unique=True),
    info={"item": "key"},
)
Index(
    "keys_name",
    keys.c.name,
    unique=True,
    sqlite_where=keys.c.revoked.is_(None),
    postgresql_where=keys.c.revoked.is_(None),
)

usage = Table(
    "usage",
    metadata,
    Column("key", Text, ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("tokens", Double, nullable=False),
    Column("filled", Double, nullable=False),
    Column("day", Integer, nullable=False),
    Column("samples", BigInteger, nullable=False),
)

jobs = _table(
    "jobs",
    "job",
    Column("kind", Text, nullable=False),
    Column("body", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("progress", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("cancelling", Boolean, nullable=False),
    Column("worker", Text),
    Column("lease", Text),
    Column("lease_s", Double),
    Column("lease_until", Double),
    Column("started", Double),
    Column("finished", Double),
    Column("result", Json),
    Column("error", Text),
    Index("jobs_state", "state", "place"),
)

records = _table(
    "records",
    "output",
    Column("model", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("seed", Text, nullable=False),  # up to 2**64 - 1, more than an integer column holds
    Column("label", Text),
    Column("options", Json, nullable=False),
    Column("software", Json, nullable=False),
    Column("kind", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("perceptual", Text),
    Column("blob", Text),
    Column("state", Text, nullable=False),
    Column("held_for", Text),
    Column("decided_by", Text),
    Column("reason", Text),
    Column("decided", Double),
    Column("plain_sha256", Text),
    Column("report", Text),
    Column("licence", Text),
    Column("gate", Text),
    Index("records_sha256", "sha256"),
    Index("records_state", "state", "place"),
)

contents = Table(
    "contents",
    metadata,
    Column("output", Text, ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

files = _table(
    "files",
    "file",
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
)

batches = _table(
    "batches",
    "batch",
    Column("endpoint", Text, nullable=False),
    Column("input_file", Text, nullable=False),
    Column("completion_window", Text, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("status", Text, nullable=False),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("output_file", Text),
    Column("error_file", Text),
    Column("errors", Json),
    Column("times", Json, nullable=False),
    Column("expires", Double, nullable=False),
)

votes = _table(
    "votes",
    "vote",
    Column("first", Text, nullable=False),  # outputs, in the order of their ids
    Column("second", Text, nullable=False),
    Column("first_model", Text, nullable=False),
    Column("second_model", Text, nullable=False),
    Column("winner", Text, nullable=False),  # "first", "second" or "tie"
    Index("votes_pair", "owner", "first", "second", unique=True),
    Index("votes_models", "owner", "first_model", "second_model"),
)

folders = _table(
    "folders",
    "folder",
    Column("version", Integer, nullable=False),
    Column("files", Json, nullable=False),  # path -> blob
    Column("done", Boolean, nullable=False),
    Column("changed", Double, nullable=False),
    Index("folders_changed", "changed"),
)
