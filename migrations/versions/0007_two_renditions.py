"""A photo keeps the size of its small rendition, the bytes of its large one, and a version for their addresses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEXES = ("ix_photos_without_large", "ix_photos_large")
"""Built by `service/database/migrate.py`, outside of this transaction."""


def upgrade() -> None:
    op.add_column("photos", sa.Column("thumbnail_width", sa.Integer(), nullable=True))
    op.add_column("photos", sa.Column("thumbnail_height", sa.Integer(), nullable=True))
    op.add_column("photos", sa.Column("large_bytes", sa.Integer(), nullable=True))
    op.add_column("photos", sa.Column("rendition_version", sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    for index in INDEXES:
        op.drop_index(index, table_name="photos", if_exists=True)
    for column in ("rendition_version", "large_bytes", "thumbnail_height", "thumbnail_width"):
        op.drop_column("photos", column)
