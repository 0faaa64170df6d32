"""Updates that a trial made beside its own training: on branches, and with shorter schedules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column."""
    column = sa.Column(
        "extra_steps", sa.Integer(), nullable=False, server_default=sa.text("0"), comment="beside its own training"
    )
    op.add_column("etude_proposals", column)


def downgrade() -> None:
    """Drop it."""
    op.drop_column("etude_proposals", "extra_steps")
