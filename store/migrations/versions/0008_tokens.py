"""Tokens with the sessions that begin with them, and with which token a study was submitted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
SUBMITTED_WITH_ONE = sa.text("token IS NOT NULL")


def upgrade() -> None:
    """Add the table, and the column of studies."""
    op.create_table(
        "etude_tokens",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="never given again"),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the secret, which is not stored"),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("parent", KEY, nullable=True, comment="of a session: its token"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.CheckConstraint("parent IS NULL OR expires_at IS NOT NULL", name="etude_tokens_session_ends"),
        sa.ForeignKeyConstraint(["parent"], ["etude_tokens.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("etude_tokens_by_parent", "etude_tokens", ["parent"])
    column = sa.Column("token", sa.Text(), nullable=True, comment="name of the token it was submitted with")
    op.add_column("etude_studies", column)
    op.create_index(
        "etude_studies_by_token",
        "etude_studies",
        ["token"],
        postgresql_where=SUBMITTED_WITH_ONE,
        sqlite_where=SUBMITTED_WITH_ONE,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("etude_studies_by_token", "etude_studies")
    op.drop_column("etude_studies", "token")
    op.drop_table("etude_tokens")
