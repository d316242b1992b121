"""What more is known of models, and the moment of adding a server on its own clock."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MODEL_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "variant": sa.Text(),
    "submodels": postgresql.JSONB(),
    "expert": sa.Text(),
    "latent_channels": sa.Integer(),
    "provider_id": sa.Text(),
    "capabilities": postgresql.JSONB(),
}


def upgrade() -> None:
    op.add_column("backends", sa.Column("gallery_beginning", sa.DateTime(timezone=True), nullable=True))
    op.add_column("backends", sa.Column("gallery_older", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("generation_steps", sa.Column("cancel_taken", sa.Boolean(), nullable=True))
    op.execute(
        "UPDATE generation_steps SET cancel_taken = true"
        " WHERE cancel_requested_at IS NOT NULL AND status IN ('completed', 'failed', 'canceled')"
    )
    for name, kind in MODEL_COLUMNS.items():
        op.add_column("models", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in MODEL_COLUMNS:
        op.drop_column("models", name)
    op.drop_column("generation_steps", "cancel_taken")
    op.drop_column("backends", "gallery_older")
    op.drop_column("backends", "gallery_beginning")
