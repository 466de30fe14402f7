"""Answers that stand alone: their place, their request and their response."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("chat_sessions", sa.Column("page", sa.String, nullable=False, server_default="chat"))
    for name in ("request", "sent", "response"):
        op.add_column("messages", sa.Column(name, sa.Text))
