"""Bulk changes can be undone: what photos were before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "undo_batches",
        sa.Column("undo_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("photo_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("former", postgresql.ARRAY(postgresql.JSONB()), nullable=False),
        sa.PrimaryKeyConstraint("undo_id", "number", name=op.f("pk_undo_batches")),
    )


def downgrade() -> None:
    op.drop_table("undo_batches")
