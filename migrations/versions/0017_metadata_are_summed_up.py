"""Lists show a summary of a photo's metadata, which the background pass makes for those that are here already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("photos", sa.Column("params_summary", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("photos", "params_summary")
    # What later releases derive as well is derived again.
    op.execute("UPDATE photos SET derived = 2 WHERE derived > 2")
