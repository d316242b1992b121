"""Words that photos are found by have a table of their own, which is filled while Darkroom runs; the text search that
PostgreSQL made of each row is gone. Nothing here depends on how many photos there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (
    "generation_prompt",
    "generation_negative_prompt",
    "model_name",
    "loras",
    "caption",
    "tags",
    "filename",
    "purged_at",
)
CHANGED = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in COLUMNS)
WORDS = "array_remove(string_to_array((words || negative) || model, ' '::text), ''::text)"
FORMER = (
    "setweight(to_tsvector('english'::regconfig, coalesce(caption, '') || ' ' || coalesce(generation_prompt, '')), 'A')"
    " || setweight(to_tsvector('simple'::regconfig, coalesce(model_name, '') || ' ' || filename), 'B')"
    " || setweight(array_to_tsvector(tags), 'B')"
    " || setweight(to_tsvector('english'::regconfig, coalesce(generation_negative_prompt, '')), 'D')"
)


def upgrade() -> None:
    op.create_table(
        "photo_search",
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.Column("words", sa.Text(collation="C"), nullable=False),
        sa.Column("negative", sa.Text(collation="C"), nullable=False),
        sa.Column("model", sa.Text(collation="C"), nullable=False),
        sa.Column("name_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("photo_id", name=op.f("pk_photo_search")),
    )
    op.create_index(
        "ix_photo_search_words",
        "photo_search",
        [sa.text(WORDS)],
        postgresql_using="gin",
    )
    op.create_index(
        "ix_photo_search_name_id", "photo_search", ["name_id"], postgresql_where=sa.text("name_id IS NOT NULL")
    )
    op.create_table(
        "search_words",
        sa.Column("word", sa.Text(collation="C"), nullable=False),
        sa.Column("photos", sa.BigInteger(), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("oldest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("word", name=op.f("pk_search_words")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "search_changes",
        sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_search_changes")),
    )
    op.execute(
        """
        CREATE FUNCTION photo_words_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO search_changes (photo_id) VALUES (NEW.id);
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER photo_words_added AFTER INSERT ON photos FOR EACH ROW EXECUTE FUNCTION photo_words_changed()"
    )
    op.execute(
        f"CREATE TRIGGER photo_words_changed AFTER UPDATE OF {', '.join(COLUMNS)} ON photos"
        f" FOR EACH ROW WHEN ({CHANGED}) EXECUTE FUNCTION photo_words_changed()"
    )
    op.drop_index("ix_photos_search", table_name="photos")
    op.drop_column("photos", "search")


def downgrade() -> None:
    """Writes every photo anew."""
    op.add_column(
        "photos", sa.Column("search", postgresql.TSVECTOR(), sa.Computed(FORMER, persisted=True), nullable=True)
    )
    op.create_index("ix_photos_search", "photos", ["search"], postgresql_using="gin")
    op.execute("DROP TRIGGER photo_words_changed ON photos")
    op.execute("DROP TRIGGER photo_words_added ON photos")
    op.execute("DROP FUNCTION photo_words_changed()")
    op.drop_table("search_changes")
    op.drop_table("search_words")
    op.drop_table("photo_search")
    op.execute("DELETE FROM settings WHERE key = 'search_index'")
