"""Answers that stand alone: their place, their request and their response."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("chat_sessions", sa.Column("page", sa.String, nullable=False, server_default="chat"))
    for name in ("request", "sent", "response"):
        op.add_column("messages", sa.Column(name, sa.Text))
    # From here on each call that is under way has a message: nobody looks for those that pages began without one.
    op.execute(
        "UPDATE calls SET status = 'interrupted' WHERE status = 'running'"
        " AND id NOT IN (SELECT call_id FROM messages WHERE call_id IS NOT NULL)"
    )
