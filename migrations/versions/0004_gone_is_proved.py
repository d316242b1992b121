"""A photo keeps since when InvokeAI has had no record of it; a server, when its owner saw which images are gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("photos", sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("backends", sa.Column("gone_seen_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("backends", "gone_seen_at")
    op.drop_column("photos", "missing_since")
