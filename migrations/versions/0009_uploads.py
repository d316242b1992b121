"""Uploads: whether a file is damaged, the text inside of it for the search, and no two uploads of the same bytes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INDEXES = ("ix_photos_uploads", "ix_photos_bytes")
"""Built by `service/database/migrate.py`, outside of this transaction."""
FORMER_COLUMNS = (
    "generation_prompt",
    "generation_negative_prompt",
    "model_name",
    "loras",
    "caption",
    "tags",
    "filename",
    "purged_at",
)
COLUMNS = (*FORMER_COLUMNS, "source_text")


def upgrade() -> None:
    op.add_column("photos", sa.Column("damaged", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("photos", sa.Column("source_text", sa.Text(), nullable=True))
    # No release before this one takes uploads, so there are hardly any, and the index that is dropped has them all. Where
    # several have the same bytes, the later ones become imported: several imported photos may have the same bytes.
    op.execute("SET LOCAL enable_seqscan = off")
    op.execute(
        """
        UPDATE photos SET source = 'imported' WHERE id IN (
            SELECT id FROM (
                SELECT id, row_number() OVER (PARTITION BY sha256 ORDER BY id) AS n FROM photos
                 WHERE source IN ('uploaded', 'imported') AND source = 'uploaded' AND sha256 IS NOT NULL
                   AND purged_at IS NULL) same
             WHERE n > 1)
        """
    )
    op.execute("SET LOCAL enable_seqscan = on")
    op.drop_index("ix_photos_uploaded_bytes", table_name="photos")
    _watch(COLUMNS)


def downgrade() -> None:
    for index in INDEXES:
        op.drop_index(index, table_name="photos", if_exists=True)
    _watch(FORMER_COLUMNS)
    op.create_index(
        "ix_photos_uploaded_bytes", "photos", ["sha256"], postgresql_where=sa.text("source IN ('uploaded', 'imported')")
    )
    op.drop_column("photos", "source_text")
    op.drop_column("photos", "damaged")


def _watch(columns: tuple[str, ...]) -> None:
    """Changes of these are told to the search."""
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    op.execute("DROP TRIGGER photo_words_changed ON photos")
    op.execute(
        f"CREATE TRIGGER photo_words_changed AFTER UPDATE OF {', '.join(columns)} ON photos"
        f" FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION photo_words_changed()"
    )
