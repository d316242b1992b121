"""The photos made from one are read along an index, the newest first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INDEXES = {"ix_photos_made_from": "photos", "ix_photo_sources_made_from": "photo_sources"}
"""And their tables; built by `service/database/migrate.py`, outside of this transaction."""


def upgrade() -> None:
    op.drop_index("ix_photos_descent", table_name="photos")
    op.drop_index("ix_photo_sources_source", table_name="photo_sources")


def downgrade() -> None:
    for index, table in INDEXES.items():
        op.drop_index(index, table_name=table, if_exists=True)
    for index, table, column in (
        ("ix_photos_descent", "photos", "source_image_id"),
        ("ix_photo_sources_source", "photo_sources", "source_photo_id"),
    ):
        op.create_index(index, table, [column], postgresql_where=sa.text(f"{column} IS NOT NULL"))
