"""What was already run: trials of a user's past that a study learns from, or tries first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
LEARNED = sa.text("becomes = 'history'")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "etude_history",
        sa.Column("id", KEY, nullable=False),
        sa.Column("study_id", KEY, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False, comment="0, 1, ... within the study"),
        sa.Column("becomes", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="of all that was said of the trial"),
        sa.Column("candidate", JSON, nullable=False),
        sa.Column("params", JSON, nullable=False, comment="the candidate as a point of the study's space"),
        sa.Column("value", sa.Double(), nullable=True, comment="of history: NULL where the training diverged"),
        sa.Column("horizon_steps", sa.Integer(), nullable=True),
        sa.Column("task", JSON, nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.CheckConstraint("becomes IN ('history', 'proposal')", name="etude_history_becomes"),
        sa.ForeignKeyConstraint(["study_id"], ["etude_studies.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("study_id", "place", name="etude_history_in_order"),
        sa.UniqueConstraint("study_id", "fingerprint", name="etude_history_once"),
    )
    op.create_index(
        "etude_history_best",
        "etude_history",
        ["study_id", "value"],
        unique=False,
        postgresql_where=LEARNED,
        sqlite_where=LEARNED,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("etude_history")
