"""An index that alone answers counts of ended trials, and in which pages of them by state stand in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ENDED = sa.text("state IN ('complete', 'pruned', 'failed', 'stopped')")


def upgrade() -> None:
    """Add the index."""
    op.create_index(
        "etude_proposals_ended",
        "etude_proposals",
        ["study_id", "purpose", "state", "number", "worker_seconds"],
        unique=False,
        postgresql_where=ENDED,
        sqlite_where=ENDED,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("etude_proposals_ended", table_name="etude_proposals")
