"""Answers being written: lease, reasoning, the wish to stop; and pictures, branches, deleted chats."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("chat_sessions", sa.Column("lease_until", sa.BigInteger))
    op.add_column("chat_sessions", sa.Column("history_turns", sa.Integer))
    op.add_column("chat_sessions", sa.Column("deleted_at", sa.BigInteger))
    op.add_column("messages", sa.Column("reasoning", sa.Text, nullable=False, server_default=""))
    op.add_column("messages", sa.Column("earlier_sent", sa.Integer))
    op.add_column("messages", sa.Column("beside_id", sa.Integer))
    op.add_column("messages", sa.Column("is_stop_asked", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("calls", sa.Column("prompt_characters", sa.Integer))
    op.add_column("calls", sa.Column("filtered", sa.String))
    # Who looks for what a dead process left finds it without reading all that was ever said.
    op.create_index("ix_messages_status", "messages", ["status"])
    op.create_table(
        "images",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("message_id", sa.Integer, nullable=False),
        sa.Column("media_type", sa.String(40), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_images_message_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_images_message_id", "images", ["message_id"])
