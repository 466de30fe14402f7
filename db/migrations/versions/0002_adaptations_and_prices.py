"""What was learnt about a configuration's models, and its own prices."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "adaptations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("configuration_id", sa.String(32), nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("parameter", sa.String, nullable=False),
        sa.Column("value", sa.String, nullable=False),
        sa.Column("instead", sa.String),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("learnt_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_adaptations"),
        sa.ForeignKeyConstraint(
            ["configuration_id"],
            ["configurations.id"],
            name="fk_adaptations_configuration_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_adaptations_configuration_id", "adaptations", ["configuration_id"])
    op.add_column("configurations", sa.Column("price", sa.Text))
