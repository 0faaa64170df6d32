"""How far a trial's schedule has come at each rung, where trials of one phase are compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add the columns."""
    phases = "of fidelity phase: the share of the LR curve's area that is left, by rung"
    op.add_column("etude_proposals", sa.Column("phases", JSON, nullable=True, comment=phases))
    phase = "of the trial's schedule at the rung, where trials of one phase are compared"
    op.add_column("etude_rung_values", sa.Column("phase", sa.Double(), nullable=True, comment=phase))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("etude_rung_values", "phase")
    op.drop_column("etude_proposals", "phases")
