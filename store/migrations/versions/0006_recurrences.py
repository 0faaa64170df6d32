"""Searches that repeat: recurrences, their nights, what there is to tell of them, and warm starts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
RUN_STATES = "'waiting', 'running', 'skipped', 'done', 'stopped', 'failed'"
OPEN = sa.text("state IN ('waiting', 'running')")


def upgrade() -> None:
    """Add the tables, and the age of past trials."""
    _recurrences()
    _runs()
    _outbox()
    op.add_column(
        "etude_history",
        sa.Column(
            "age",
            sa.Integer(),
            nullable=True,
            comment="of a warm start: 1 for the latest of its studies, whose name is the source",
        ),
    )


def _recurrences() -> None:
    op.create_table(
        "etude_recurrences",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", JSON, nullable=False, comment="RecurrenceSpec, without the secret of its webhook"),
        sa.Column("secret", sa.Text(), nullable=True, comment="of the webhook; never read back"),
        sa.Column("in_use", JSON, nullable=True, comment="the candidate that nights compare with"),
        sa.Column("in_use_from", sa.Text(), nullable=True, comment="the study that it was adopted from"),
        sa.Column("widened", JSON, nullable=False, comment="ranges that are wider than the template's, by parameter"),
        sa.Column("next_due_at", sa.Double(), nullable=True, comment="NULL: paused, or at its end"),
        sa.Column("due_known_at", sa.Double(), nullable=False, comment="when next_due_at was computed"),
        sa.Column("missed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("etude_recurrences_due", "etude_recurrences", ["next_due_at"])


def _runs() -> None:
    op.create_table(
        "etude_recurrence_runs",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recurrence_id", KEY, nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("claim_id", sa.Text(), nullable=True, comment="of a night that was asked for"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("study", sa.Text(), nullable=True),
        sa.Column(
            "missed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="due times that it stands for, too",
        ),
        sa.Column("in_use", JSON, nullable=True, comment="the candidate that it compares with"),
        sa.Column("notes", JSON, nullable=False),
        sa.Column("outcome", JSON, nullable=True, comment="verdict, candidate, difference, once its study has ended"),
        sa.Column(
            "pruned", sa.Boolean(), server_default=sa.text("false"), nullable=False, comment="only the answer is left"
        ),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.CheckConstraint(f"state IN ({RUN_STATES})", name="etude_recurrence_runs_state"),
        sa.CheckConstraint("state NOT IN ('running', 'done') OR study IS NOT NULL", name="etude_recurrence_runs_study"),
        sa.ForeignKeyConstraint(["recurrence_id"], ["etude_recurrences.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("study"),
        sa.UniqueConstraint("recurrence_id", "due_at", name="etude_recurrence_runs_once"),
        sa.UniqueConstraint("recurrence_id", "claim_id", name="etude_recurrence_runs_claimed_once"),
    )
    op.create_index(
        "etude_recurrence_runs_open",
        "etude_recurrence_runs",
        ["recurrence_id"],
        postgresql_where=OPEN,
        sqlite_where=OPEN,
    )


def _outbox() -> None:
    op.create_table(
        "etude_outbox",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recurrence_id", KEY, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("content", JSON, nullable=False, comment="what there is to say, in no format yet"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=True, comment="when it is tried again; NULL: sent, or given up"),
        sa.Column("sent_at", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True, comment="of the last attempt"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["recurrence_id"], ["etude_recurrences.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("etude_outbox_waiting", "etude_outbox", ["next_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_column("etude_history", "age")
    for table in ("etude_outbox", "etude_recurrence_runs", "etude_recurrences"):
        op.drop_table(table)
