"""How many photos each server has in each state is kept by triggers, so that nothing need count them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

KEY = "backend_id, retrieval_status, deleted_at IS NOT NULL"
# Only ever inserts: no writer of photos waits for another. An update that changes nothing of the key inserts nothing.
COUNTED = f"""
    CREATE FUNCTION photos_counted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO photo_counts (backend_id, retrieval_status, is_trashed, n)
            SELECT {KEY}, count(*) FROM new_photos WHERE purged_at IS NULL GROUP BY {KEY};
        ELSIF TG_OP = 'UPDATE' THEN
            INSERT INTO photo_counts (backend_id, retrieval_status, is_trashed, n)
            SELECT {KEY}, sum(change)
              FROM (SELECT backend_id, retrieval_status, deleted_at, -1 AS change
                      FROM old_photos WHERE purged_at IS NULL
                     UNION ALL
                    SELECT backend_id, retrieval_status, deleted_at, 1
                      FROM new_photos WHERE purged_at IS NULL) changes
             GROUP BY {KEY} HAVING sum(change) <> 0;
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO photo_counts (backend_id, retrieval_status, is_trashed, n)
            SELECT {KEY}, -count(*) FROM old_photos WHERE purged_at IS NULL GROUP BY {KEY};
        ELSE
            DELETE FROM photo_counts;
        END IF;
        RETURN NULL;
    END $$
"""
TRIGGERS = {
    "INSERT": "REFERENCING NEW TABLE AS new_photos",
    "UPDATE": "REFERENCING OLD TABLE AS old_photos NEW TABLE AS new_photos",
    "DELETE": "REFERENCING OLD TABLE AS old_photos",
    "TRUNCATE": "",
}


def upgrade() -> None:
    """What is there already is counted while Darkroom runs (`service/database/photo_counts.py`)."""
    op.create_table(
        "photo_counts",
        sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("backend_id", sa.Uuid(), nullable=True),
        sa.Column("retrieval_status", sa.Text(), nullable=False),
        sa.Column("is_trashed", sa.Boolean(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_photo_counts")),
    )
    op.execute(COUNTED)
    for event, tables in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER photos_counted_{event.lower()} AFTER {event} ON photos {tables}"
            " FOR EACH STATEMENT EXECUTE FUNCTION photos_counted()"
        )


def downgrade() -> None:
    op.drop_index("ix_photos_gone", table_name="photos", if_exists=True)  # built by service/database/migrate.py
    for event in TRIGGERS:
        op.execute(f"DROP TRIGGER photos_counted_{event.lower()} ON photos")
    op.execute("DROP FUNCTION photos_counted()")
    op.drop_table("photo_counts")
    op.execute("DELETE FROM settings WHERE key = 'photo_counts'")
