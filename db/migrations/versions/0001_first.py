"""People, configurations, chat sessions with their messages, and the ledger of calls."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    people = op.create_table(
        "people",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
    )
    # The one person of a workbench without sign-in, made here so that nobody who signs in can ever get this id, 1. The
    # id is not named: PostgreSQL would not count it, and give it out again.
    op.bulk_insert(people, [{"name": "Local administrator", "role": "administrator"}])

    op.create_table(
        "configurations",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("display_name", sa.String, nullable=False),
        sa.Column("folded_name", sa.String, nullable=False),
        sa.Column("api_type", sa.String(20), nullable=False),
        sa.Column("key_type", sa.String(20), nullable=False),
        sa.Column("endpoint", sa.String, nullable=False),
        sa.Column("deployment_name", sa.String, nullable=False),
        sa.Column("api_version", sa.String, nullable=False),
        sa.Column("model_default", sa.String, nullable=False),
        sa.Column("sealed_key", sa.Text, nullable=False),
        sa.Column("key_hint", sa.String(4), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_configurations"),
        sa.UniqueConstraint("folded_name", name="uq_configurations_folded_name"),
        sa.CheckConstraint("api_type IN ('OpenAI', 'AzureOpenAI')", name="ck_configurations_api_type"),
    )

    op.create_table(
        "calls",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("person_id", sa.Integer, nullable=False),
        sa.Column("configuration_id", sa.String(32)),
        sa.Column("configuration_name", sa.String, nullable=False),
        sa.Column("model_asked", sa.String, nullable=False),
        sa.Column("model_answered", sa.String),
        sa.Column("page", sa.String, nullable=False),
        sa.Column("preset", sa.String),
        sa.Column("operation", sa.String, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("finish_reason", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("adaptations", sa.Text, nullable=False),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("cached_tokens", sa.Integer),
        sa.Column("reasoning_tokens", sa.Integer),
        sa.Column("total_tokens", sa.Integer),
        sa.Column("usage_source", sa.String(20), nullable=False),
        sa.Column("time_to_first_token", sa.Float),
        sa.Column("duration", sa.Float),
        sa.Column("cost", sa.Float),
        sa.Column("price_source", sa.String),
        sa.Column("error_kind", sa.String),
        sa.Column("error", sa.Text),
        sa.Column("request_id", sa.String),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="fk_calls_person_id"),
        sa.ForeignKeyConstraint(
            ["configuration_id"], ["configurations.id"], name="fk_calls_configuration_id", ondelete="SET NULL"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_calls_person_id_started_at", "calls", ["person_id", "started_at"])
    op.create_index("ix_calls_started_at", "calls", ["started_at"])
    op.create_index("ix_calls_configuration_id", "calls", ["configuration_id"])

    op.create_table(
        "chat_sessions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner_id", sa.Integer, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("configuration_id", sa.String(32)),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("system_prompt", sa.Text, nullable=False),
        sa.Column("last_message_id", sa.Integer),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chat_sessions"),
        sa.ForeignKeyConstraint(["owner_id"], ["people.id"], name="fk_chat_sessions_owner_id"),
        sa.ForeignKeyConstraint(
            ["configuration_id"], ["configurations.id"], name="fk_chat_sessions_configuration_id", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_chat_sessions_owner_id_changed_at", "chat_sessions", ["owner_id", "changed_at"])
    op.create_index("ix_chat_sessions_configuration_id", "chat_sessions", ["configuration_id"])

    op.create_table(
        "messages",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("parent_id", sa.Integer),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("finish_reason", sa.String),
        sa.Column("call_id", sa.Integer),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["chat_sessions.id"], name="fk_messages_session_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["messages.id"], name="fk_messages_parent_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_messages_call_id", ondelete="SET NULL"),
        sa.UniqueConstraint("session_id", "position", name="uq_messages_session_id_position"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_messages_parent_id", "messages", ["parent_id"])
    op.create_index("ix_messages_call_id", "messages", ["call_id"])
