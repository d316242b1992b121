"""Steps that are made from a photo: their batches wait for it, and its upload to a server is written down."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INDEXES = {"ix_generation_steps_source": "generation_steps", "ix_step_batches_waiting": "step_batches"}
"""And their tables; built by `service/database/migrate.py`, outside of this transaction."""
FORMER_STATES = "'prepared', 'posted', 'enqueued', 'refused'"


def upgrade() -> None:
    op.add_column("step_batches", sa.Column("source_image_name", sa.Text(), nullable=True))
    _allow_states(f"'waiting', {FORMER_STATES}")
    op.create_table(
        "source_uploads",
        sa.Column("backend_id", sa.Uuid(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.ForeignKeyConstraint(
            ["backend_id"], ["backends.id"], name=op.f("fk_source_uploads_backend_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("fk_source_uploads_photo_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("backend_id", "photo_id", name=op.f("pk_source_uploads")),
    )
    op.create_index(op.f("ix_source_uploads_photo_id"), "source_uploads", ["photo_id"])


def downgrade() -> None:
    for index, table in INDEXES.items():
        op.drop_index(index, table_name=table, if_exists=True)
    op.drop_table("source_uploads")
    # The former release makes no pictures from pictures: it must not send these without their source.
    op.execute(
        """
        UPDATE step_batches SET state = 'refused', refusal = 'this release cannot generate from a photo'
         WHERE state = 'waiting' OR state = 'prepared' AND source_image_name IS NOT NULL
        """
    )
    _allow_states(FORMER_STATES)
    op.drop_column("step_batches", "source_image_name")


def _allow_states(states: str) -> None:
    """The former rows keep it, so that they are looked at without keeping others from the table."""
    op.drop_constraint(op.f("ck_step_batches_state"), "step_batches", type_="check")
    op.execute(f"ALTER TABLE step_batches ADD CONSTRAINT ck_step_batches_state CHECK (state IN ({states})) NOT VALID")
    op.execute("ALTER TABLE step_batches VALIDATE CONSTRAINT ck_step_batches_state")
