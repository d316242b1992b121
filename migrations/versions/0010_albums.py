"""Albums: deleted ones can be brought back, and each keeps how many photos it shows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

LISTED = "deleted_at IS NULL"
LIVE = "p.deleted_at IS NULL AND p.purged_at IS NULL"
WAS = "OLD.deleted_at IS NULL AND OLD.purged_at IS NULL"
IS = "NEW.deleted_at IS NULL AND NEW.purged_at IS NULL"

# LATERAL and OFFSET 0: a plan that is kept must be right for one photo and for thousands.
# A statement that changes memberships holds the row of their album: the caller has locked it.
MEMBERS_CHANGED = f"""
    CREATE FUNCTION album_members_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE albums a SET photo_count = a.photo_count + CASE TG_OP WHEN 'INSERT' THEN s.photos ELSE -s.photos END
          FROM (SELECT m.album_id, count(*) AS photos FROM members m
                 CROSS JOIN LATERAL (SELECT FROM photos p WHERE p.id = m.photo_id AND {LIVE} OFFSET 0) p
                 GROUP BY m.album_id) s
         WHERE a.id = s.album_id;
        RETURN NULL;
    END $$
"""
PHOTO_SHOWN = """
    CREATE FUNCTION album_photo_shown() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM album_photo WHERE photo_id = NEW.id) THEN
            INSERT INTO album_count_changes (photo_id, change)
            VALUES (NEW.id, CASE WHEN NEW.deleted_at IS NULL AND NEW.purged_at IS NULL THEN 1 ELSE -1 END);
        END IF;
        RETURN NULL;
    END $$
"""
# Two statements: what left an album before its row was locked is seen by the second one alone.
PHOTOS_SHOWN = """
    CREATE FUNCTION album_photos_shown() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        photo_ids uuid[];
        changes integer[];
    BEGIN
        IF NOT EXISTS (SELECT FROM album_count_changes) THEN
            RETURN NULL;
        END IF;
        WITH noted AS (DELETE FROM album_count_changes RETURNING photo_id, change)
        SELECT array_agg(n.photo_id), array_agg(n.change) INTO photo_ids, changes FROM noted n;
        PERFORM FROM albums WHERE id IN (SELECT m.album_id FROM album_photo m WHERE m.photo_id = ANY(photo_ids))
          ORDER BY id FOR NO KEY UPDATE;
        UPDATE albums a SET photo_count = a.photo_count + s.change
          FROM (SELECT m.album_id, sum(c.change) AS change FROM unnest(photo_ids, changes) AS c (photo_id, change)
                 CROSS JOIN LATERAL (SELECT album_id FROM album_photo WHERE photo_id = c.photo_id OFFSET 0) m
                 GROUP BY m.album_id) s
         WHERE a.id = s.album_id;
        RETURN NULL;
    END $$
"""
COUNT_ALL = f"""
    UPDATE albums a SET photo_count = (SELECT count(*) FROM album_photo m JOIN photos p ON p.id = m.photo_id
                                        WHERE m.album_id = a.id AND {LIVE})
"""


def upgrade() -> None:
    op.add_column("albums", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("albums", sa.Column("photo_count", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.create_index(
        "ix_albums_listed",
        "albums",
        [sa.text("updated_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text(LISTED),
    )
    # No release has written to this table: it is empty, unless somebody wrote to it by hand.
    op.alter_column("album_photo", "position", type_=sa.BigInteger())
    op.drop_index("ix_album_photo_order", table_name="album_photo")
    op.create_index("ix_album_photo_order", "album_photo", ["album_id", "position", "photo_id"])
    op.create_table(
        "album_count_changes",
        sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_album_count_changes")),
    )
    for function in (MEMBERS_CHANGED, PHOTO_SHOWN, PHOTOS_SHOWN):
        op.execute(function)
    for name, event, rows in (("added", "INSERT", "NEW"), ("removed", "DELETE", "OLD")):
        op.execute(
            f"CREATE TRIGGER album_members_{name} AFTER {event} ON album_photo REFERENCING {rows} TABLE AS members"
            " FOR EACH STATEMENT EXECUTE FUNCTION album_members_changed()"
        )
    op.execute(
        "CREATE TRIGGER album_photo_shown AFTER UPDATE OF deleted_at, purged_at ON photos"
        f" FOR EACH ROW WHEN (({WAS}) <> ({IS})) EXECUTE FUNCTION album_photo_shown()"
    )
    op.execute(
        "CREATE TRIGGER album_photos_shown AFTER UPDATE OF deleted_at, purged_at ON photos"
        " FOR EACH STATEMENT EXECUTE FUNCTION album_photos_shown()"
    )
    op.execute(COUNT_ALL)


def downgrade() -> None:
    """Deleted albums go for good."""
    for trigger in ("album_photo_shown", "album_photos_shown"):
        op.execute(f"DROP TRIGGER {trigger} ON photos")
    for trigger in ("album_members_added", "album_members_removed"):
        op.execute(f"DROP TRIGGER {trigger} ON album_photo")
    for function in ("album_members_changed", "album_photo_shown", "album_photos_shown"):
        op.execute(f"DROP FUNCTION {function}()")
    op.drop_table("album_count_changes")
    op.execute("DELETE FROM albums WHERE deleted_at IS NOT NULL")
    # Positions may be larger than the former type holds.
    op.execute(
        "UPDATE album_photo m SET position = o.n FROM (SELECT album_id, photo_id, row_number() OVER"
        " (PARTITION BY album_id ORDER BY position, photo_id) AS n FROM album_photo) o"
        " WHERE o.album_id = m.album_id AND o.photo_id = m.photo_id"
    )
    op.drop_index("ix_album_photo_order", table_name="album_photo")
    op.create_index("ix_album_photo_order", "album_photo", ["album_id", "position"])
    op.alter_column("album_photo", "position", type_=sa.Integer())
    op.drop_index("ix_albums_listed", table_name="albums")
    op.drop_column("albums", "photo_count")
    op.drop_column("albums", "deleted_at")
