"""Alembic's entry: run the migrations over the connection that the gateway hands in, within its transaction."""

from __future__ import annotations

from alembic import context

from gateways.settlement.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
