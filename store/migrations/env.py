"""How Alembic runs our migrations: on the connection that it is handed, with a version table of our own."""

from __future__ import annotations

from alembic import context

from store.tables import metadata
from store.upgrade import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
