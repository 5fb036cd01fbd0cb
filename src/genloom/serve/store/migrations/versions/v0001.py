"""Keys, their usage, jobs, records of outputs, files and batches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

JSON = sa.JSON(none_as_null=True)
PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _keys()
    _jobs()
    _records()
    _owned(
        "files",
        _needed("filename", sa.Text),
        _needed("purpose", sa.Text),
        _needed("bytes", sa.BigInteger),
        _needed("sha256", sa.Text),
    )
    _owned(
        "batches",
        *(_needed(name, sa.Text) for name in ("endpoint", "input_file", "completion_window")),
        _needed("metadata", JSON),
        _needed("status", sa.Text),
        *(_needed(name, sa.Integer) for name in ("total", "completed", "failed")),
        *(sa.Column(name, sa.Text) for name in ("output_file", "error_file")),
        sa.Column("errors", JSON),
        _needed("times", JSON),
        _needed("expires", sa.Double),
    )


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        _needed("name", sa.Text),
        _needed("digest", sa.Text),
        _needed("scopes", JSON),
        sa.Column("per_minute", sa.Integer),
        sa.Column("per_day", sa.Integer),
        _needed("created", sa.Double),
        sa.Column("revoked", sa.Double),
    )
    op.create_index("keys_digest", "keys", ["digest"], unique=True)
    live = sa.text("revoked IS NULL")
    op.create_index(
        "keys_name", "keys", ["name"], unique=True, sqlite_where=live, postgresql_where=live
    )
    op.create_table(
        "usage",
        sa.Column("key", sa.Text, sa.ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
        _needed("tokens", sa.Double),
        _needed("filled", sa.Double),
        _needed("day", sa.Integer),
        _needed("samples", sa.BigInteger),
    )


def _jobs() -> None:
    _owned(
        "jobs",
        _needed("kind", sa.Text),
        _needed("body", JSON),
        _needed("state", sa.Text),
        _needed("progress", sa.Double),
        _needed("attempts", sa.Integer),
        _needed("cancelling", sa.Boolean),
        *(sa.Column(name, sa.Text) for name in ("worker", "lease")),
        *(sa.Column(name, sa.Double) for name in ("lease_s", "lease_until", "started", "finished")),
        sa.Column("result", JSON),
        sa.Column("error", sa.Text),
    )
    op.create_index("jobs_state", "jobs", ["state", "place"])


def _records() -> None:
    _owned(
        "records",
        *(_needed(name, sa.Text) for name in ("model", "data", "recipe", "seed")),
        sa.Column("label", sa.Text),
        *(_needed(name, JSON) for name in ("options", "software")),
        *(_needed(name, sa.Text) for name in ("kind", "media_type", "sha256")),
        *(sa.Column(name, sa.Text) for name in ("perceptual", "blob")),
        _needed("state", sa.Text),
        *(sa.Column(name, sa.Text) for name in ("held_for", "decided_by", "reason")),
        sa.Column("decided", sa.Double),
    )
    op.create_index("records_sha256", "records", ["sha256"])
    op.create_index("records_state", "records", ["state", "place"])


def _needed(name: str, kind: type[sa.types.TypeEngine] | sa.types.TypeEngine) -> sa.Column:
    return sa.Column(name, kind, nullable=False)


def _owned(name: str, *columns: sa.Column) -> None:
    """A table whose rows belong to owners and are listed by place."""
    op.create_table(
        name,
        sa.Column("place", PLACE, primary_key=True),
        _needed("id", sa.Text),
        _needed("owner", sa.Text),
        _needed("created", sa.Double),
        *columns,
        sqlite_autoincrement=True,
    )
    op.create_index(f"{name}_id", name, ["id"], unique=True)
    op.create_index(f"{name}_owner", name, ["owner", "place"])
