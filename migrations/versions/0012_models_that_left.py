"""A LoRA that left its server is kept while photos name it, and models keep their trigger phrases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEX = "ix_generation_steps_model"
"""Built by `service/database/migrate.py`, outside of this transaction."""


def upgrade() -> None:
    op.add_column("models", sa.Column("trigger_phrases", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("models", sa.Column("left_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_index(INDEX, table_name="generation_steps", if_exists=True)
    op.execute("DELETE FROM models WHERE left_at IS NOT NULL")
    op.drop_column("models", "left_at")
    op.drop_column("models", "trigger_phrases")
