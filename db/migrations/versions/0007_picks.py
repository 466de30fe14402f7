"""What each person has picked on each page."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "picks",
        sa.Column("person_id", sa.Integer, primary_key=True),
        sa.Column("page", sa.String, primary_key=True),
        sa.Column("configuration_id", sa.String(32), nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="fk_picks_person_id"),
        sa.ForeignKeyConstraint(
            ["configuration_id"], ["configurations.id"], name="fk_picks_configuration_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_picks_configuration_id", "picks", ["configuration_id"])
