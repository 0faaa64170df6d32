"""What a worker trains on and with: an answer says what it was made on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add the column; workers that announced themselves before have said nothing."""
    column = sa.Column("machine", JSON, nullable=True, comment="what it trains on and with, as it says")
    op.add_column("etude_workers", column)


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("etude_workers", "machine")
