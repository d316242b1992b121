"""A LoRA that left its server is kept while photos name it, models keep their trigger phrases, and flags have an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEXES = {"ix_generation_steps_model": "generation_steps", "ix_photos_pick": "photos"}
"""And their tables; built by `service/database/migrate.py`, outside of this transaction."""


def upgrade() -> None:
    op.add_column("models", sa.Column("trigger_phrases", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("models", sa.Column("left_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for index, table in INDEXES.items():
        op.drop_index(index, table_name=table, if_exists=True)
    op.execute("DELETE FROM models WHERE left_at IS NOT NULL")
    op.drop_column("models", "left_at")
    op.drop_column("models", "trigger_phrases")
