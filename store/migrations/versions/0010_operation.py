"""For operation: signs of life of coordinators, the use of devices, and the time that was lost to retries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
HAS_LOST = sa.text("lost_seconds > 0")
GIVEN_UP = sa.text("next_at IS NULL AND sent_at IS NULL")


def upgrade() -> None:
    """Add them; what was lost before is not known, and counts as nothing."""
    op.create_table(
        "etude_coordinators",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("failing", sa.Integer(), nullable=False, comment="studies whose latest step failed"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("etude_workers", sa.Column("usage", JSON, nullable=True, comment="of its devices, as it says"))
    op.create_index("etude_workers_by_heartbeat", "etude_workers", ["heartbeat_at"])
    op.add_column(
        "etude_proposals", sa.Column("lost_seconds", sa.Double(), nullable=False, server_default=sa.text("0"))
    )
    op.create_index(
        "etude_proposals_lost",
        "etude_proposals",
        ["attempts", "lost_seconds"],
        postgresql_where=HAS_LOST,
        sqlite_where=HAS_LOST,
    )
    op.create_index("etude_outbox_given_up", "etude_outbox", ["id"], postgresql_where=GIVEN_UP, sqlite_where=GIVEN_UP)


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("etude_outbox_given_up", "etude_outbox")
    op.drop_index("etude_proposals_lost", "etude_proposals")
    op.drop_column("etude_proposals", "lost_seconds")
    op.drop_index("etude_workers_by_heartbeat", "etude_workers")
    op.drop_column("etude_workers", "usage")
    op.drop_table("etude_coordinators")
