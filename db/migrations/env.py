"""Alembic's entry: runs the migrations on the connection of `db.base`, inside its transaction and under its lock."""

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], on_version_apply=attributes.get("on_version_apply"))
context.run_migrations()
