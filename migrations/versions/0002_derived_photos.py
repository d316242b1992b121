"""What is derived from a photo's file has a version, and the images it was made from have a table.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("photos", sa.Column("derived", sa.SmallInteger(), nullable=True))
    op.create_table(
        "photo_sources",
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.Column("image_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("source_photo_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("fk_photo_sources_photo_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["source_photo_id"], ["photos.id"], name=op.f("fk_photo_sources_source_photo_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("photo_id", "image_name", "role", name=op.f("pk_photo_sources")),
    )
    op.create_index("ix_photo_sources_image_name", "photo_sources", ["image_name"])
    op.create_index(
        "ix_photo_sources_source",
        "photo_sources",
        ["source_photo_id"],
        postgresql_where=sa.text("source_photo_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("photo_sources")
    op.drop_column("photos", "derived")
