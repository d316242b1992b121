"""A photo keeps the size of its small rendition, the bytes of its large one, and a version for their addresses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

HAS_LARGE = "large_bytes > 0 AND purged_at IS NULL"
LACKS_LARGE = (
    "large_bytes IS NULL AND local_thumbnail_path IS NOT NULL AND retrieval_status = 'completed' AND purged_at IS NULL"
)


def upgrade() -> None:
    op.add_column("photos", sa.Column("thumbnail_width", sa.Integer(), nullable=True))
    op.add_column("photos", sa.Column("thumbnail_height", sa.Integer(), nullable=True))
    op.add_column("photos", sa.Column("large_bytes", sa.Integer(), nullable=True))
    op.add_column("photos", sa.Column("rendition_version", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.create_index(
        "ix_photos_large",
        "photos",
        [sa.text("id DESC")],
        postgresql_include=["large_bytes"],
        postgresql_where=sa.text(HAS_LARGE),
    )
    op.create_index("ix_photos_without_large", "photos", [sa.text("id DESC")], postgresql_where=sa.text(LACKS_LARGE))


def downgrade() -> None:
    op.drop_index("ix_photos_without_large", table_name="photos", postgresql_where=sa.text(LACKS_LARGE))
    op.drop_index(
        "ix_photos_large",
        table_name="photos",
        postgresql_include=["large_bytes"],
        postgresql_where=sa.text(HAS_LARGE),
    )
    for column in ("rendition_version", "large_bytes", "thumbnail_height", "thumbnail_width"):
        op.drop_column("photos", column)
