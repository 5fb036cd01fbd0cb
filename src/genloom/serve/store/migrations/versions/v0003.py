"""Votes between two outputs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    texts = ("id", "owner", "first", "second", "first_model", "second_model", "winner")
    op.create_table(
        "votes",
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in texts),
        sa.Column("created", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("votes_id", "votes", ["id"], unique=True)
    op.create_index("votes_owner", "votes", ["owner", "place"])
    op.create_index("votes_pair", "votes", ["owner", "first", "second"], unique=True)
    op.create_index("votes_models", "votes", ["owner", "first_model", "second_model"])
