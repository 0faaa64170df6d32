"""The first tables: studies, proposals, segments, rung values, curves, workers, offers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables beside Optuna's."""
    op.create_table(
        "etude_offers",
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("offer", JSON, nullable=False, comment="OfferedTask as last announced"),
        sa.Column("offered_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("task", "version"),
    )
    op.create_table(
        "etude_workers",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("devices", JSON, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("tasks", JSON, nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("worker"),
    )
    op.create_table(
        "etude_studies",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("resolved", JSON, nullable=True, comment="ResolvedStudy, once the task's offer is known"),
        sa.Column("space", JSON, nullable=True, comment="the resolved space, once the task's offer is known"),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("task_version", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("budget_trials", sa.Integer(), nullable=False),
        sa.Column("optuna_study_id", sa.Integer(), nullable=True),
        sa.Column("confirmation_study_id", sa.Integer(), nullable=True),
        sa.Column("answer", JSON, nullable=True),
        sa.Column("superseded", JSON, nullable=True, comment="answers before the budget was extended"),
        sa.Column(
            "archived",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="only the answer is kept",
        ),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True, comment="the coordinator that proposes for this study"),
        sa.Column("owner_until", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'paused', 'confirming', 'confirming_paused', 'done', 'stopped', 'failed')",
            name="etude_studies_state",
        ),
        sa.CheckConstraint("(owner IS NULL) = (owner_until IS NULL)", name="etude_studies_owner"),
        sa.ForeignKeyConstraint(["confirmation_study_id"], ["studies.study_id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["optuna_study_id"], ["studies.study_id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("idempotency_key"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("etude_studies_by_state", "etude_studies", ["state", "priority"], unique=False)
    op.create_table(
        "etude_proposals",
        sa.Column("id", KEY, nullable=False),
        sa.Column("study_id", KEY, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column(
            "seq",
            sa.Integer(),
            nullable=False,
            comment="0, 1, ... within study and purpose: the exact budget",
        ),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("study_name", sa.Text(), nullable=False, comment="name of the Optuna study that holds the row"),
        sa.Column("candidate", JSON, nullable=False),
        sa.Column("params", JSON, nullable=False, comment="Optuna's parameters by name, as people read them"),
        sa.Column("optuna_params", JSON, nullable=False, comment="[[name, internal value, distribution], ...]"),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("horizon_steps", sa.Integer(), nullable=False),
        sa.Column("rungs", JSON, nullable=False),
        sa.Column("prunable", sa.Boolean(), nullable=False),
        sa.Column(
            "exempt_steps",
            sa.Integer(),
            nullable=False,
            comment="rungs below: inside the schedule's own rise",
        ),
        sa.Column("run_on", sa.Boolean(), nullable=False, comment="runs to the end although it would be pruned"),
        sa.Column(
            "spared_at",
            sa.Integer(),
            nullable=True,
            comment="the rung at which a trial that runs on would have been pruned",
        ),
        sa.Column("seen", sa.Text(), nullable=True, comment="the proposals that the sampler saw"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("claim_id", sa.Text(), nullable=True),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column(
            "ended_lease",
            sa.Text(),
            nullable=True,
            comment="the last lease, so that a repeated verb gets the same answer",
        ),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="leases that expired",
        ),
        sa.Column(
            "stale_attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="since the last rung",
        ),
        sa.Column("settled_rung", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("resume_step", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("steps_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("metrics", JSON, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("worker_seconds", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("tail", JSON, nullable=True, comment="[[step, kind, value], ...] of the curve, not yet in a chunk"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("claimed_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "(state = 'leased') = (lease IS NOT NULL) AND (lease IS NULL) = (lease_expires_at IS NULL)",
            name="etude_proposals_lease",
        ),
        sa.CheckConstraint(
            "(state IN ('proposed', 'leased')) = (finished_at IS NULL)", name="etude_proposals_finished"
        ),
        sa.CheckConstraint("state <> 'complete' OR value IS NOT NULL", name="etude_proposals_value"),
        sa.CheckConstraint("state = 'proposed' OR number IS NOT NULL", name="etude_proposals_row"),
        sa.CheckConstraint(
            "state IN ('proposed', 'leased', 'complete', 'pruned', 'failed', 'stopped')",
            name="etude_proposals_state",
        ),
        sa.CheckConstraint("(number IS NULL) = (trial_id IS NULL)", name="etude_proposals_number"),
        sa.ForeignKeyConstraint(["study_id"], ["etude_studies.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.trial_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("study_id", "purpose", "seq", name="etude_proposals_once"),
        sa.UniqueConstraint("study_name", "number", name="etude_proposals_row_of_optuna"),
        sa.UniqueConstraint("trial_id"),
    )
    op.create_index("etude_proposals_by_claim", "etude_proposals", ["claim_id"], unique=False)
    op.create_index("etude_proposals_by_state", "etude_proposals", ["study_id", "state"], unique=False)
    op.create_index(
        "etude_proposals_leases",
        "etude_proposals",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'leased'"),
        sqlite_where=sa.text("state = 'leased'"),
    )
    op.create_index(
        "etude_proposals_waiting",
        "etude_proposals",
        ["study_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'proposed'"),
        sqlite_where=sa.text("state = 'proposed'"),
    )
    op.create_table(
        "etude_rung_values",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("study_id", KEY, nullable=False),
        sa.Column(
            "counted",
            sa.Boolean(),
            nullable=False,
            comment="compared with; false inside a schedule's own rise",
        ),
        sa.Column("value", sa.Double(), nullable=True),
        sa.CheckConstraint("kind IN ('raw', 'averaged', 'cooldown')", name="etude_rung_values_kind"),
        sa.ForeignKeyConstraint(["study_id"], ["etude_studies.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.trial_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("trial_id", "rung", "kind"),
    )
    op.create_index(
        "etude_rung_values_latest",
        "etude_rung_values",
        ["study_id", "rung", "trial_id"],
        unique=False,
        postgresql_where=sa.text("counted"),
        sqlite_where=sa.text("counted"),
    )
    op.create_table(
        "etude_curve_chunks",
        sa.Column("proposal_id", KEY, nullable=False),
        sa.Column("first_step", sa.Integer(), nullable=False),
        sa.Column("points", JSON, nullable=False, comment="[[step, kind, value], ...]"),
        sa.ForeignKeyConstraint(["proposal_id"], ["etude_proposals.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("proposal_id", "first_step"),
    )
    op.create_table(
        "etude_segments",
        sa.Column("proposal_id", KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("horizon_steps", sa.Integer(), nullable=False),
        sa.Column("start_step", sa.Integer(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("rung", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["proposal_id"], ["etude_proposals.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("proposal_id", "position"),
    )


def downgrade() -> None:
    """Drop them; Optuna's stay."""
    op.drop_table("etude_segments")
    op.drop_table("etude_curve_chunks")
    op.drop_table("etude_rung_values")
    op.drop_table("etude_proposals")
    op.drop_table("etude_studies")
    op.drop_table("etude_workers")
    op.drop_table("etude_offers")
