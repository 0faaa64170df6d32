"""Our tables. They carry the prefix `etude_` and refer to Optuna's rows with ON DELETE CASCADE.

Times (`*_at`) are seconds since 1970 in UTC by the database's clock: the two databases subtract them alike.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from .states import ENDED_TRIAL, RUN_MOVES, STUDY_MOVES, TRIAL_MOVES, listed

metadata = MetaData()
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Key = BigInteger().with_variant(Integer, "sqlite")

# Optuna's own, only as far as our foreign keys need them; they are created by Optuna.
optuna_studies = Table("studies", metadata, Column("study_id", Integer, primary_key=True), info={"foreign": True})
optuna_trials = Table("trials", metadata, Column("trial_id", Integer, primary_key=True), info={"foreign": True})

studies = Table(
    "etude_studies",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("spec", Json, nullable=False),
    Column("resolved", Json, comment="ResolvedStudy, once the task's offer is known"),
    Column("space", Json, comment="the resolved space, once the task's offer is known"),
    Column("task", Text, nullable=False),
    Column("task_version", Text),
    Column("priority", Integer, nullable=False),
    Column("budget_trials", Integer, nullable=False),
    Column("optuna_study_id", Integer, ForeignKey("studies.study_id", ondelete="SET NULL")),
    Column("confirmation_study_id", Integer, ForeignKey("studies.study_id", ondelete="SET NULL")),
    Column("answer", Json),
    Column("superseded", Json, comment="answers before the budget was extended"),
    Column("archived", Boolean, nullable=False, server_default=text("false"), comment="only the answer is kept"),
    Column("idempotency_key", Text, unique=True),
    Column("token", Text, comment="name of the token it was submitted with"),
    Column("owner", Text, comment="the coordinator that proposes for this study"),
    Column("owner_until", Double),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    CheckConstraint(f"state IN ({listed(tuple(STUDY_MOVES))})", name="etude_studies_state"),
    CheckConstraint("(owner IS NULL) = (owner_until IS NULL)", name="etude_studies_owner"),
    Index("etude_studies_by_state", "state", "priority"),
    Index(
        "etude_studies_by_token",
        "token",
        postgresql_where=text("token IS NOT NULL"),
        sqlite_where=text("token IS NOT NULL"),
    ),
)

proposals = Table(
    "etude_proposals",
    metadata,
    Column("id", Key, primary_key=True),
    Column("study_id", Key, ForeignKey("etude_studies.id", ondelete="CASCADE"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("seq", Integer, nullable=False, comment="0, 1, ... within study and purpose: the exact budget"),
    Column("origin", Text, nullable=False),
    Column("study_name", Text, nullable=False, comment="name of the Optuna study that holds the row"),
    Column("candidate", Json, nullable=False),
    Column("params", Json, nullable=False, comment="Optuna's parameters by name, as people read them"),
    Column("optuna_params", Json, nullable=False, comment="[[name, internal value, distribution], ...]"),
    Column("seed", BigInteger, nullable=False),
    Column("horizon_steps", Integer, nullable=False),
    Column("rungs", Json, nullable=False),
    Column("prunable", Boolean, nullable=False),
    Column("exempt_steps", Integer, nullable=False, comment="rungs below: inside the schedule's own rise"),
    Column("phases", Json, comment="of fidelity phase: the share of the LR curve's area that is left, by rung"),
    Column("run_on", Boolean, nullable=False, comment="runs to the end although it would be pruned"),
    Column("spared_at", Integer, comment="the rung at which a trial that runs on would have been pruned"),
    Column("seen", Text, comment="the proposals that the sampler saw"),
    Column("state", Text, nullable=False),
    Column("trial_id", Integer, ForeignKey("trials.trial_id", ondelete="CASCADE"), unique=True),
    Column("number", Integer),
    Column("worker", Text),
    Column("claim_id", Text),
    Column("lease", Text),
    Column("lease_expires_at", Double),
    Column("ended_lease", Text, comment="the last lease, so that a repeated verb gets the same answer"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="leases that expired"),
    Column("stale_attempts", Integer, nullable=False, server_default=text("0"), comment="since the last rung"),
    Column("settled_rung", Integer, nullable=False, server_default=text("0")),
    Column("resume_step", Integer, nullable=False, server_default=text("0")),
    Column("checkpoint", Text),
    Column("resumed_step", Integer, comment="where the latest attempt began, as its worker said"),
    Column("steps_done", Integer, nullable=False, server_default=text("0")),
    Column("extra_steps", Integer, nullable=False, server_default=text("0"), comment="beside its own training"),
    Column("value", Double),
    Column("metrics", Json),
    Column("error", Text),
    Column("worker_seconds", Double, nullable=False, server_default=text("0")),
    Column("lost_seconds", Double, nullable=False, server_default=text("0")),
    Column("tail", Json, comment="[[step, kind, value], ...] of the curve, not yet in a chunk"),
    Column("created_at", Double, nullable=False),
    Column("claimed_at", Double),
    Column("finished_at", Double),
    CheckConstraint(f"state IN ({listed(tuple(TRIAL_MOVES))})", name="etude_proposals_state"),
    CheckConstraint(
        "(state = 'leased') = (lease IS NOT NULL) AND (lease IS NULL) = (lease_expires_at IS NULL)",
        name="etude_proposals_lease",
    ),
    CheckConstraint("(number IS NULL) = (trial_id IS NULL)", name="etude_proposals_number"),
    CheckConstraint("state = 'proposed' OR number IS NOT NULL", name="etude_proposals_row"),
    CheckConstraint("(state IN ('proposed', 'leased')) = (finished_at IS NULL)", name="etude_proposals_finished"),
    CheckConstraint("state <> 'complete' OR value IS NOT NULL", name="etude_proposals_value"),
    UniqueConstraint("study_id", "purpose", "seq", name="etude_proposals_once"),
    UniqueConstraint("study_name", "number", name="etude_proposals_row_of_optuna"),
    Index("etude_proposals_by_state", "study_id", "state"),
    Index("etude_proposals_by_claim", "claim_id"),
    Index(
        "etude_proposals_leases",
        "lease_expires_at",
        postgresql_where=text("state = 'leased'"),
        sqlite_where=text("state = 'leased'"),
    ),
    Index(
        "etude_proposals_best",
        "study_id",
        "value",
        postgresql_where=text("state = 'complete'"),
        sqlite_where=text("state = 'complete'"),
    ),
    Index(
        # Counts, sums and pages of what has ended; written once a trial, since an ended one does not change.
        "etude_proposals_ended",
        "study_id",
        "purpose",
        "state",
        "number",
        "worker_seconds",
        postgresql_where=text(f"state IN ({listed(ENDED_TRIAL)})"),
        sqlite_where=text(f"state IN ({listed(ENDED_TRIAL)})"),
    ),
    Index(
        "etude_proposals_lost",
        "attempts",
        "lost_seconds",
        postgresql_where=text("lost_seconds > 0"),
        sqlite_where=text("lost_seconds > 0"),
    ),
    Index(
        "etude_proposals_opponents",
        "study_id",
        postgresql_where=text("origin <> 'sampler'"),
        sqlite_where=text("origin <> 'sampler'"),
    ),
    Index(
        "etude_proposals_waiting",
        "study_id",
        "id",
        postgresql_where=text("state = 'proposed'"),
        sqlite_where=text("state = 'proposed'"),
    ),
)

segments = Table(
    "etude_segments",
    metadata,
    Column("proposal_id", Key, ForeignKey("etude_proposals.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("horizon_steps", Integer, nullable=False),
    Column("start_step", Integer, nullable=False),
    Column("checkpoint", Text),
    Column("rung", Integer),
)

rung_values = Table(
    "etude_rung_values",
    metadata,
    Column("trial_id", Integer, ForeignKey("trials.trial_id", ondelete="CASCADE"), primary_key=True),
    Column("rung", Integer, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("study_id", Key, ForeignKey("etude_studies.id", ondelete="CASCADE"), nullable=False),
    Column("counted", Boolean, nullable=False, comment="compared with; false inside a schedule's own rise"),
    Column("value", Double),
    Column("phase", Double, comment="of the trial's schedule at the rung, where trials of one phase are compared"),
    CheckConstraint("kind IN ('raw', 'averaged', 'cooldown')", name="etude_rung_values_kind"),
    Index(
        "etude_rung_values_latest",
        "study_id",
        "rung",
        "trial_id",  # read backwards: the latest first
        postgresql_where=text("counted"),
        sqlite_where=text("counted"),
    ),
)

curve_chunks = Table(
    "etude_curve_chunks",
    metadata,
    Column("proposal_id", Key, ForeignKey("etude_proposals.id", ondelete="CASCADE"), primary_key=True),
    Column("first_step", Integer, primary_key=True),
    Column("points", Json, nullable=False, comment="[[step, kind, value], ...]"),
)

history = Table(
    "etude_history",
    metadata,
    Column("id", Key, primary_key=True),
    Column("study_id", Key, ForeignKey("etude_studies.id", ondelete="CASCADE"), nullable=False),
    Column("place", Integer, nullable=False, comment="0, 1, ... within the study"),
    Column("becomes", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, comment="of all that was said of the trial"),
    Column("candidate", Json, nullable=False),
    Column("params", Json, nullable=False, comment="the candidate as a point of the study's space"),
    Column("value", Double, comment="of history: NULL where the training diverged"),
    Column("horizon_steps", Integer),
    Column("task", Json),
    Column("source", Text),
    Column("age", Integer, comment="of a warm start: 1 for the latest of its studies, whose name is the source"),
    Column("added_at", Double, nullable=False),
    CheckConstraint("becomes IN ('history', 'proposal')", name="etude_history_becomes"),
    UniqueConstraint("study_id", "place", name="etude_history_in_order"),
    UniqueConstraint("study_id", "fingerprint", name="etude_history_once"),
    Index(
        "etude_history_best",
        "study_id",
        "value",
        postgresql_where=text("becomes = 'history'"),
        sqlite_where=text("becomes = 'history'"),
    ),
)

workers = Table(
    "etude_workers",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("devices", Json, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("tasks", Json, nullable=False),
    Column("machine", Json, comment="what it trains on and with, as it says"),
    Column("usage", Json, comment="of its devices, as it says"),
    Column("started_at", Double, nullable=False),
    Column("heartbeat_at", Double, nullable=False),
    Index("etude_workers_by_heartbeat", "heartbeat_at"),
)

coordinators = Table(
    "etude_coordinators",
    metadata,
    Column("name", Text, primary_key=True),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("failing", Integer, nullable=False, comment="studies whose latest step failed"),
)

offers = Table(
    "etude_offers",
    metadata,
    Column("task", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("offer", Json, nullable=False, comment="OfferedTask as last announced"),
    Column("offered_at", Double, nullable=False),
)


recurrences = Table(
    "etude_recurrences",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("spec", Json, nullable=False, comment="RecurrenceSpec, without the secret of its webhook"),
    Column("webhook_url", Text, comment="its whole URL, sealed"),
    Column("webhook_secret", Text, comment="what signs, sealed"),
    # In clear: of an earlier version, until a service starts.
    Column("secret", Text, comment="of the webhook; never read back"),
    Column("in_use", Json, comment="the candidate that nights compare with"),
    Column("in_use_from", Text, comment="the study that it was adopted from"),
    Column("widened", Json, nullable=False, comment="ranges that are wider than the template's, by parameter"),
    Column("next_due_at", Double, comment="NULL: paused, or at its end"),
    Column("due_known_at", Double, nullable=False, comment="when next_due_at was computed"),
    Column("missed", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("etude_recurrences_due", "next_due_at"),
)

recurrence_runs = Table(
    "etude_recurrence_runs",
    metadata,
    Column("id", Key, primary_key=True),
    Column("recurrence_id", Key, ForeignKey("etude_recurrences.id", ondelete="CASCADE"), nullable=False),
    Column("due_at", Double, nullable=False),
    Column("claim_id", Text, comment="of a night that was asked for"),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("study", Text, unique=True),
    Column("missed", Integer, nullable=False, server_default=text("0"), comment="due times that it stands for, too"),
    Column("in_use", Json, comment="the candidate that it compares with"),
    Column("notes", Json, nullable=False),
    Column("outcome", Json, comment="verdict, candidate, difference, once its study has ended"),
    Column("pruned", Boolean, nullable=False, server_default=text("false"), comment="only the answer is left"),
    Column("started_at", Double),
    Column("ended_at", Double),
    CheckConstraint(f"state IN ({listed(tuple(RUN_MOVES))})", name="etude_recurrence_runs_state"),
    CheckConstraint("state NOT IN ('running', 'done') OR study IS NOT NULL", name="etude_recurrence_runs_study"),
    UniqueConstraint("recurrence_id", "due_at", name="etude_recurrence_runs_once"),
    UniqueConstraint("recurrence_id", "claim_id", name="etude_recurrence_runs_claimed_once"),
    Index(
        "etude_recurrence_runs_open",
        "recurrence_id",
        postgresql_where=text("state IN ('waiting', 'running')"),
        sqlite_where=text("state IN ('waiting', 'running')"),
    ),
)

outbox = Table(
    "etude_outbox",
    metadata,
    Column("id", Key, primary_key=True),
    Column("recurrence_id", Key, ForeignKey("etude_recurrences.id", ondelete="CASCADE"), nullable=False),
    Column("event", Text, nullable=False),
    Column("content", Json, nullable=False, comment="what there is to say, in no format yet"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", Double, comment="when it is tried again; NULL: sent, or given up"),
    Column("sent_at", Double),
    Column("error", Text, comment="of the last attempt"),
    Column("created_at", Double, nullable=False),
    Index("etude_outbox_waiting", "next_at"),
    Index(
        "etude_outbox_given_up",
        "id",
        postgresql_where=text("next_at IS NULL AND sent_at IS NULL"),
        sqlite_where=text("next_at IS NULL AND sent_at IS NULL"),
    ),
)

tokens = Table(
    "etude_tokens",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True, comment="never given again"),
    Column("digest", Text, nullable=False, unique=True, comment="SHA-256 of the secret, which is not stored"),
    Column("scopes", Json, nullable=False),
    Column("parent", Key, ForeignKey("etude_tokens.id", ondelete="CASCADE"), comment="of a session: its token"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("revoked_at", Double),
    CheckConstraint("parent IS NULL OR expires_at IS NOT NULL", name="etude_tokens_session_ends"),
    Index("etude_tokens_by_parent", "parent"),
)


def own_tables() -> list[Table]:
    """Our tables, without the stand-ins for Optuna's."""
    return [table for table in metadata.sorted_tables if not table.info.get("foreign")]
