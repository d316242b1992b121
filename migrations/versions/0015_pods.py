"""Rented machines: what is known of each pod, what is wanted of it, and the order that is under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STATES = "'stopped', 'starting', 'running', 'stopping', 'failed', 'unknown'"


def upgrade() -> None:
    op.create_table(
        "pods",
        sa.Column("backend_id", sa.Uuid(), nullable=False),
        sa.Column("provider", postgresql.JSONB(), nullable=False),
        sa.Column("idle_minutes", sa.Float(), nullable=False, server_default=sa.text("15")),
        sa.Column("autostart", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("said", sa.Text(), nullable=False, server_default="unknown"),
        sa.Column("said_words", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False, server_default="unknown"),
        _time("state_since", now=True),
        sa.Column("words", sa.Text(), nullable=True),
        _time("read_at"),
        sa.Column("root", sa.Text(), nullable=False, server_default="unknown"),
        sa.Column("root_confirmed", sa.Boolean(), nullable=True),
        sa.Column("gpus", sa.Integer(), nullable=True),
        sa.Column("locked", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("stopped_costs", sa.Text(), nullable=True),
        sa.Column("wanted", sa.Text(), nullable=True),
        sa.Column("wanted_by", sa.Text(), nullable=True),
        _time("wanted_at"),
        sa.Column("confirmed", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        _time("give_up_at"),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("gave_up_on", sa.BigInteger(), nullable=True),
        sa.Column("started_by_us", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        _time("ready_at"),
        sa.Column("order_kind", sa.Text(), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        _time("order_written_at"),
        _time("order_sent_at"),
        sa.Column("order_outcome", sa.Text(), nullable=True),
        sa.Column("order_words", sa.Text(), nullable=True),
        _time("next_order_at"),
        sa.Column("orders", sa.Integer(), nullable=False, server_default=sa.text("0")),
        _time("held_at"),
        _time("idle_since"),
        sa.Column("stop_refused", sa.Text(), nullable=True),
        sa.Column("alarm", sa.Text(), nullable=True),
        sa.Column("cost_per_hour", sa.Float(), nullable=True),
        _time("run_began_at"),
        sa.Column("run_cost", sa.Float(), nullable=False, server_default=sa.text("0")),
        _time("stopped_by_us_at"),
        sa.Column("saved", sa.Float(), nullable=False, server_default=sa.text("0")),
        sa.CheckConstraint(f"said IN ({STATES})", name=op.f("ck_pods_said")),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_pods_state")),
        sa.CheckConstraint("root IN ('safe', 'lost_at_stop', 'unknown')", name=op.f("ck_pods_root")),
        sa.CheckConstraint("wanted IN ('running', 'stopped')", name=op.f("ck_pods_wanted")),
        sa.CheckConstraint("wanted_by IN ('work', 'owner', 'idle')", name=op.f("ck_pods_wanted_by")),
        sa.CheckConstraint("order_kind IN ('start', 'stop')", name=op.f("ck_pods_order_kind")),
        sa.CheckConstraint(
            "order_outcome IN ('taken', 'no_gpu', 'refused', 'not_known', 'later')", name=op.f("ck_pods_order_outcome")
        ),
        sa.CheckConstraint("idle_minutes >= 0.1", name=op.f("ck_pods_idle_minutes")),
        sa.ForeignKeyConstraint(["backend_id"], ["backends.id"], name=op.f("fk_pods_backend_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("backend_id", name=op.f("pk_pods")),
    )


def downgrade() -> None:
    op.drop_table("pods")
    # The former release starts and stops nothing: to it, they are servers.
    op.execute("UPDATE backends SET kind = 'server' WHERE kind IN ('runpod', 'command')")


def _time(name: str, *, now: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not now, server_default=sa.func.now() if now else None)
