"""Where webhooks go and what signs their messages, sealed; what is in clear a service seals when it starts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns."""
    for name, comment in (("webhook_url", "its whole URL, sealed"), ("webhook_secret", "what signs, sealed")):
        op.add_column("etude_recurrences", sa.Column(name, sa.Text(), nullable=True, comment=comment))


def downgrade() -> None:
    """Take them away: the secrets with them, since nothing here can open them."""
    for name in ("webhook_secret", "webhook_url"):
        op.drop_column("etude_recurrences", name)
