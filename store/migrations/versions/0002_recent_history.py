"""Indexes for what proposals are drawn from: the best trials, and those that are not the sampler's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the indexes."""
    op.create_index(
        "etude_proposals_best",
        "etude_proposals",
        ["study_id", "value"],
        unique=False,
        postgresql_where=sa.text("state = 'complete'"),
        sqlite_where=sa.text("state = 'complete'"),
    )
    op.create_index(
        "etude_proposals_opponents",
        "etude_proposals",
        ["study_id"],
        unique=False,
        postgresql_where=sa.text("origin <> 'sampler'"),
        sqlite_where=sa.text("origin <> 'sampler'"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("etude_proposals_opponents", table_name="etude_proposals")
    op.drop_index("etude_proposals_best", table_name="etude_proposals")
