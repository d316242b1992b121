"""What more is known of models, and the moment of adding a server on its own clock."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "correlation"
down_revision = "background"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("backends", sa.Column("gallery_beginning", sa.DateTime(timezone=True), nullable=True))
    op.add_column("backends", sa.Column("gallery_older", postgresql.ARRAY(sa.Text()), nullable=True))


def downgrade() -> None:
    op.drop_column("backends", "gallery_older")
    op.drop_column("backends", "gallery_beginning")
