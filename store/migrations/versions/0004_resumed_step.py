"""Where a trial's latest attempt began: at its checkpoint, or at step 0 again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "etude_proposals",
        sa.Column("resumed_step", sa.Integer(), comment="where the latest attempt began, as its worker said"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_column("etude_proposals", "resumed_step")
