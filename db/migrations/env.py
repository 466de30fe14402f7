"""Alembic's entry: runs the migrations on the connection of `db.base`, inside its transaction and under its lock."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
