"""Records of outputs lead to verdict and licence, and small outputs lie beside their records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what older records do not know, and the table of small contents."""
    for name in ("plain_sha256", "report", "licence", "gate"):
        op.add_column("records", sa.Column(name, sa.Text))
    op.create_table(
        "contents",
        sa.Column(
            "output", sa.Text, sa.ForeignKey("records.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
