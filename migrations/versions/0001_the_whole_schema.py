"""The whole schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )
    op.create_table(
        "backends",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="server", nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("credentials", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("mirror", sa.Text(), server_default="all", nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gallery_watermark", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('server', 'demo', 'runpod', 'command')", name=op.f("ck_backends_kind")),
        sa.CheckConstraint("mirror IN ('all', 'own')", name=op.f("ck_backends_mirror")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backends")),
        sa.UniqueConstraint("url", "queue_id", name=op.f("uq_backends_url_queue_id")),
    )
    op.create_table(
        "generation_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_sessions")),
    )
    op.create_table(
        "settings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settings")),
    )
    op.create_table(
        "web_sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_web_sessions")),
    )
    op.create_index(op.f("ix_web_sessions_expires_at"), "web_sessions", ["expires_at"], unique=False)
    op.create_table(
        "models",
        sa.Column("backend_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("default_settings", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["backend_id"], ["backends.id"], name=op.f("fk_models_backend_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("backend_id", "key", name=op.f("pk_models")),
    )
    op.create_table(
        "photos",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=True),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_generated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("generation_prompt", sa.Text(), nullable=True),
        sa.Column("generation_negative_prompt", sa.Text(), nullable=True),
        sa.Column("generation_params", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("source_image_id", sa.Uuid(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("invoke_id", sa.Text(), nullable=True),
        sa.Column("backend_id", sa.Uuid(), nullable=True),
        sa.Column("invoke_session_id", sa.Text(), nullable=True),
        sa.Column("model_key", sa.Text(), nullable=True),
        sa.Column("model_hash", sa.Text(), nullable=True),
        sa.Column("model_name", sa.Text(), nullable=True),
        sa.Column("model_base", sa.Text(), nullable=True),
        sa.Column("loras", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("seed", sa.Numeric(precision=20, scale=0), nullable=True),
        sa.Column("retrieval_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("retrieval_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_retrieval_attempt", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_retrieval_attempt", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        sa.Column("retrieval_claim", sa.Uuid(), nullable=True),
        sa.Column("retrieval_lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retrieval_error", sa.Text(), nullable=True),
        sa.Column("local_storage_path", sa.Text(), nullable=True),
        sa.Column("local_thumbnail_path", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("thumbhash", sa.Text(), nullable=True),
        sa.Column("favorite", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("rating", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("pick", sa.Text(), nullable=True),
        sa.Column("caption", sa.Text(), nullable=True),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed(
                "setweight(to_tsvector('english'::regconfig, coalesce(caption, '') || ' ' || coalesce(generation_prompt, '')), 'A') || setweight(to_tsvector('simple'::regconfig, coalesce(model_name, '') || ' ' || filename), 'B') || setweight(array_to_tsvector(tags), 'B') || setweight(to_tsvector('english'::regconfig, coalesce(generation_negative_prompt, '')), 'D')",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.CheckConstraint(
            "(retrieval_status = 'retrieving') = (retrieval_claim IS NOT NULL)",
            name=op.f("ck_photos_claim_while_retrieving"),
        ),
        sa.CheckConstraint("pick IN ('pick', 'reject')", name=op.f("ck_photos_pick")),
        sa.CheckConstraint(
            "retrieval_status <> 'completed' OR purged_at IS NOT NULL OR (local_storage_path IS NOT NULL AND file_size IS NOT NULL AND sha256 IS NOT NULL)",
            name=op.f("ck_photos_completed_is_home"),
        ),
        sa.CheckConstraint(
            "retrieval_status IN ('pending', 'retrieving', 'completed', 'failed', 'gone')",
            name=op.f("ck_photos_retrieval_status"),
        ),
        sa.CheckConstraint(
            "source IN ('uploaded', 'generated', 'mirrored', 'imported')", name=op.f("ck_photos_source")
        ),
        sa.CheckConstraint("rating BETWEEN 0 AND 5", name=op.f("ck_photos_rating")),
        sa.ForeignKeyConstraint(
            ["backend_id"], ["backends.id"], name=op.f("fk_photos_backend_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["source_image_id"], ["photos.id"], name=op.f("fk_photos_source_image_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_photos")),
        sa.UniqueConstraint("invoke_id", name=op.f("uq_photos_invoke_id")),
    )
    op.create_index(
        "ix_photos_descent",
        "photos",
        ["source_image_id"],
        unique=False,
        postgresql_where=sa.text("source_image_id IS NOT NULL"),
    )
    op.create_index(
        "ix_photos_due",
        "photos",
        ["backend_id", "next_retrieval_attempt"],
        unique=False,
        postgresql_where=sa.text("retrieval_status = 'pending' AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_favorite",
        "photos",
        [sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("favorite AND deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_fresh",
        "photos",
        ["backend_id", sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("retrieval_status = 'pending' AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_generated",
        "photos",
        ["is_generated", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_invoke_session",
        "photos",
        ["invoke_session_id"],
        unique=False,
        postgresql_where=sa.text("invoke_session_id IS NOT NULL"),
    )
    op.create_index(
        "ix_photos_leased",
        "photos",
        ["retrieval_lease_until"],
        unique=False,
        postgresql_where=sa.text("retrieval_status = 'retrieving'"),
    )
    op.create_index(
        "ix_photos_ledger",
        "photos",
        ["backend_id", "retrieval_status"],
        unique=False,
        postgresql_where=sa.text("purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_live",
        "photos",
        [sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index("ix_photos_local_storage_path", "photos", ["local_storage_path"], unique=True)
    op.create_index("ix_photos_loras", "photos", ["loras"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_photos_model",
        "photos",
        ["model_key", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_model_base",
        "photos",
        ["model_base", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_model_name",
        "photos",
        ["model_name", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_name",
        "photos",
        ["filename", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_not_home",
        "photos",
        ["retrieval_status", sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("retrieval_status <> 'completed'"),
    )
    op.create_index(
        "ix_photos_purged_files",
        "photos",
        ["purged_at"],
        unique=False,
        postgresql_where=sa.text("purged_at IS NOT NULL AND local_storage_path IS NOT NULL"),
    )
    op.create_index(
        "ix_photos_rating",
        "photos",
        [sa.literal_column("rating DESC"), sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index("ix_photos_search", "photos", ["search"], unique=False, postgresql_using="gin")
    op.create_index("ix_photos_seed", "photos", ["seed"], unique=False, postgresql_where=sa.text("seed IS NOT NULL"))
    op.create_index(
        "ix_photos_source",
        "photos",
        ["source", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.create_index("ix_photos_tags", "photos", ["tags"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_photos_trash",
        "photos",
        [sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL AND purged_at IS NULL"),
    )
    op.create_index(
        "ix_photos_uploaded_bytes",
        "photos",
        ["sha256"],
        unique=False,
        postgresql_where=sa.text("source IN ('uploaded', 'imported')"),
    )
    op.create_table(
        "albums",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("cover_photo_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["cover_photo_id"], ["photos.id"], name=op.f("fk_albums_cover_photo_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_albums")),
    )
    op.create_table(
        "backend_uploads",
        sa.Column("backend_id", sa.Uuid(), nullable=False),
        sa.Column("image_name", sa.Text(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["backend_id"], ["backends.id"], name=op.f("fk_backend_uploads_backend_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("fk_backend_uploads_photo_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("backend_id", "image_name", name=op.f("pk_backend_uploads")),
    )
    op.create_index(op.f("ix_backend_uploads_photo_id"), "backend_uploads", ["photo_id"], unique=False)
    op.create_table(
        "generation_steps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("source_photo_id", sa.Uuid(), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("negative_prompt", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "parameters", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("model_key", sa.Text(), nullable=False),
        sa.Column("model_hash", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=True),
        sa.Column("backend_id", sa.Uuid(), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("batch_size", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("selected_image_id", sa.Uuid(), nullable=True),
        sa.Column("selected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'canceled')",
            name=op.f("ck_generation_steps_status"),
        ),
        sa.CheckConstraint("batch_size BETWEEN 1 AND 100", name=op.f("ck_generation_steps_batch_size")),
        sa.ForeignKeyConstraint(
            ["backend_id"], ["backends.id"], name=op.f("fk_generation_steps_backend_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["generation_steps.id"], name=op.f("fk_generation_steps_parent_id")),
        sa.ForeignKeyConstraint(
            ["selected_image_id"],
            ["photos.id"],
            name=op.f("fk_generation_steps_selected_image_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["generation_sessions.id"], name=op.f("fk_generation_steps_session_id")
        ),
        sa.ForeignKeyConstraint(["source_photo_id"], ["photos.id"], name=op.f("fk_generation_steps_source_photo_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_steps")),
        sa.UniqueConstraint("correlation_id", name=op.f("uq_generation_steps_correlation_id")),
    )
    op.create_index(
        "ix_generation_steps_live",
        "generation_steps",
        ["backend_id"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'processing') AND deleted_at IS NULL"),
    )
    op.create_index(op.f("ix_generation_steps_parent_id"), "generation_steps", ["parent_id"], unique=False)
    op.create_index("ix_generation_steps_session", "generation_steps", ["session_id", "position"], unique=False)
    op.create_table(
        "album_photo",
        sa.Column("album_id", sa.Uuid(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["album_id"], ["albums.id"], name=op.f("fk_album_photo_album_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], name=op.f("fk_album_photo_photo_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("album_id", "photo_id", name=op.f("pk_album_photo")),
    )
    op.create_index("ix_album_photo_order", "album_photo", ["album_id", "position"], unique=False)
    op.create_index(op.f("ix_album_photo_photo_id"), "album_photo", ["photo_id"], unique=False)
    op.create_table(
        "step_alternatives",
        sa.Column("step_id", sa.Uuid(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("fk_step_alternatives_photo_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["step_id"], ["generation_steps.id"], name=op.f("fk_step_alternatives_step_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("step_id", "photo_id", name=op.f("pk_step_alternatives")),
        sa.UniqueConstraint("photo_id", name=op.f("uq_step_alternatives_photo_id")),
    )
    op.create_index("ix_step_alternatives_order", "step_alternatives", ["step_id", "position"], unique=False)
    op.create_table(
        "step_batches",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Uuid(), nullable=False),
        sa.Column("backend_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("enqueued", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("seeds", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("state", sa.Text(), server_default="prepared", nullable=False),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('prepared', 'posted', 'enqueued', 'refused')", name=op.f("ck_step_batches_state")
        ),
        sa.CheckConstraint("cardinality(seeds) = wanted", name=op.f("ck_step_batches_a_seed_each")),
        sa.ForeignKeyConstraint(
            ["backend_id"], ["backends.id"], name=op.f("fk_step_batches_backend_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["step_id"], ["generation_steps.id"], name=op.f("fk_step_batches_step_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_step_batches")),
    )
    op.create_index("ix_step_batches_step", "step_batches", ["step_id", "ordinal"], unique=False)
    op.create_index(
        "ix_step_batches_unsent",
        "step_batches",
        ["backend_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('prepared', 'posted')"),
    )
    op.create_table(
        "queue_items",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("step_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=True),
        sa.Column("retried_from_item_id", sa.BigInteger(), nullable=True),
        sa.Column("invoke_session_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("status_sequence", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("absent_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'in_progress', 'waiting', 'completed', 'failed', 'canceled', 'gone')",
            name=op.f("ck_queue_items_status"),
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["step_batches.batch_id"], name=op.f("fk_queue_items_batch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["step_id"], ["generation_steps.id"], name=op.f("fk_queue_items_step_id")),
        sa.PrimaryKeyConstraint("batch_id", "item_id", name=op.f("pk_queue_items")),
    )
    op.create_index("ix_queue_items_session", "queue_items", ["invoke_session_id"], unique=False)
    op.create_index("ix_queue_items_step", "queue_items", ["step_id"], unique=False)
    op.create_index(
        "ix_queue_items_unsettled",
        "queue_items",
        ["batch_id"],
        unique=False,
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    # Without good statistics the planner walks a million rows for a word that none has.
    op.execute("ALTER TABLE photos ALTER COLUMN search SET STATISTICS 1000")


def downgrade() -> None:
    op.drop_index("ix_queue_items_unsettled", table_name="queue_items", postgresql_where=sa.text("settled_at IS NULL"))
    op.drop_index("ix_queue_items_step", table_name="queue_items")
    op.drop_index("ix_queue_items_session", table_name="queue_items")
    op.drop_table("queue_items")
    op.drop_index(
        "ix_step_batches_unsent", table_name="step_batches", postgresql_where=sa.text("state IN ('prepared', 'posted')")
    )
    op.drop_index("ix_step_batches_step", table_name="step_batches")
    op.drop_table("step_batches")
    op.drop_index("ix_step_alternatives_order", table_name="step_alternatives")
    op.drop_table("step_alternatives")
    op.drop_index(op.f("ix_album_photo_photo_id"), table_name="album_photo")
    op.drop_index("ix_album_photo_order", table_name="album_photo")
    op.drop_table("album_photo")
    op.drop_index("ix_generation_steps_session", table_name="generation_steps")
    op.drop_index(op.f("ix_generation_steps_parent_id"), table_name="generation_steps")
    op.drop_index(
        "ix_generation_steps_live",
        table_name="generation_steps",
        postgresql_where=sa.text("status IN ('pending', 'processing') AND deleted_at IS NULL"),
    )
    op.drop_table("generation_steps")
    op.drop_index(op.f("ix_backend_uploads_photo_id"), table_name="backend_uploads")
    op.drop_table("backend_uploads")
    op.drop_table("albums")
    op.drop_index(
        "ix_photos_uploaded_bytes", table_name="photos", postgresql_where=sa.text("source IN ('uploaded', 'imported')")
    )
    op.drop_index(
        "ix_photos_trash", table_name="photos", postgresql_where=sa.text("deleted_at IS NOT NULL AND purged_at IS NULL")
    )
    op.drop_index("ix_photos_tags", table_name="photos", postgresql_using="gin")
    op.drop_index(
        "ix_photos_source", table_name="photos", postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL")
    )
    op.drop_index("ix_photos_seed", table_name="photos", postgresql_where=sa.text("seed IS NOT NULL"))
    op.drop_index("ix_photos_search", table_name="photos", postgresql_using="gin")
    op.drop_index(
        "ix_photos_rating", table_name="photos", postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL")
    )
    op.drop_index(
        "ix_photos_purged_files",
        table_name="photos",
        postgresql_where=sa.text("purged_at IS NOT NULL AND local_storage_path IS NOT NULL"),
    )
    op.drop_index(
        "ix_photos_not_home", table_name="photos", postgresql_where=sa.text("retrieval_status <> 'completed'")
    )
    op.drop_index(
        "ix_photos_name", table_name="photos", postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL")
    )
    op.drop_index(
        "ix_photos_model_name",
        table_name="photos",
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.drop_index(
        "ix_photos_model_base",
        table_name="photos",
        postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.drop_index(
        "ix_photos_model", table_name="photos", postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL")
    )
    op.drop_index("ix_photos_loras", table_name="photos", postgresql_using="gin")
    op.drop_index("ix_photos_local_storage_path", table_name="photos")
    op.drop_index(
        "ix_photos_live", table_name="photos", postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL")
    )
    op.drop_index("ix_photos_ledger", table_name="photos", postgresql_where=sa.text("purged_at IS NULL"))
    op.drop_index("ix_photos_leased", table_name="photos", postgresql_where=sa.text("retrieval_status = 'retrieving'"))
    op.drop_index(
        "ix_photos_invoke_session", table_name="photos", postgresql_where=sa.text("invoke_session_id IS NOT NULL")
    )
    op.drop_index(
        "ix_photos_generated", table_name="photos", postgresql_where=sa.text("deleted_at IS NULL AND purged_at IS NULL")
    )
    op.drop_index(
        "ix_photos_fresh",
        table_name="photos",
        postgresql_where=sa.text("retrieval_status = 'pending' AND purged_at IS NULL"),
    )
    op.drop_index(
        "ix_photos_favorite",
        table_name="photos",
        postgresql_where=sa.text("favorite AND deleted_at IS NULL AND purged_at IS NULL"),
    )
    op.drop_index(
        "ix_photos_due",
        table_name="photos",
        postgresql_where=sa.text("retrieval_status = 'pending' AND purged_at IS NULL"),
    )
    op.drop_index("ix_photos_descent", table_name="photos", postgresql_where=sa.text("source_image_id IS NOT NULL"))
    op.drop_table("photos")
    op.drop_table("models")
    op.drop_index(op.f("ix_web_sessions_expires_at"), table_name="web_sessions")
    op.drop_table("web_sessions")
    op.drop_table("settings")
    op.drop_table("generation_sessions")
    op.drop_table("backends")
    op.drop_table("api_tokens")
