"""Photos whose files are being moved, and the names that the files may have until then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "file_moves",
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.Column("names", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("photo_id", name=op.f("pk_file_moves")),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], name=op.f("fk_file_moves_photo_id"), ondelete="CASCADE"),
    )


def downgrade() -> None:
    op.drop_table("file_moves")
