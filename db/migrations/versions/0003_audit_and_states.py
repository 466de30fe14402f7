"""The audit, and what may be said of a configuration: its version, whether it is switched on, which is the default."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("person_id", sa.Integer, nullable=False),
        sa.Column("person_name", sa.String, nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("configuration_id", sa.String(32)),
        sa.Column("configuration_name", sa.String, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="fk_audit_person_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_configuration_id", "audit", ["configuration_id"])
    op.add_column("configurations", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("configurations", sa.Column("is_enabled", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("configurations", sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.false()))
