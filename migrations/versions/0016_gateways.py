"""What a gateway before InvokeAI asks for, by origin as logins are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A constant default rewrites no row: the lock is as short as the table is small.
    op.add_column(
        "backends",
        sa.Column("gateways", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'")),
    )


def downgrade() -> None:
    op.drop_column("backends", "gateways")
