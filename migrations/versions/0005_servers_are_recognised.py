"""Servers are recognised: where one was last, and since when its records say nothing; logins are kept by origin."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ORIGIN = "substring(url from '^[a-z]+://[^/]+')"


def upgrade() -> None:
    op.add_column("backends", sa.Column("recognised_url", sa.Text(), nullable=True))
    op.add_column("backends", sa.Column("identity_since", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE backends SET recognised_url = url WHERE last_seen_at IS NOT NULL")
    op.alter_column("backends", "credentials", new_column_name="logins")
    op.execute(
        "UPDATE backends SET logins = CASE WHEN jsonb_typeof(logins) = 'object'"
        f" THEN jsonb_build_object({ORIGIN}, logins) ELSE '{{}}' END"
    )
    op.alter_column("backends", "logins", nullable=False, server_default=sa.text("'{}'"))
    op.drop_constraint("uq_backends_url_queue_id", "backends")
    op.create_index(
        "ix_backends_address", "backends", ["url", "queue_id"], unique=True, postgresql_where=sa.text("enabled")
    )
    op.create_index("ix_step_batches_backend", "step_batches", ["backend_id", "ordinal"])


def downgrade() -> None:
    """Two rows may have one address now: the disabled ones of them must be removed first."""
    op.drop_index("ix_step_batches_backend", table_name="step_batches")
    op.drop_index("ix_backends_address", table_name="backends", postgresql_where=sa.text("enabled"))
    op.create_unique_constraint("uq_backends_url_queue_id", "backends", ["url", "queue_id"])
    op.alter_column("backends", "logins", nullable=True, server_default=None, new_column_name="credentials")
    op.execute(f"UPDATE backends SET credentials = credentials->{ORIGIN}")
    op.drop_column("backends", "identity_since")
    op.drop_column("backends", "recognised_url")
