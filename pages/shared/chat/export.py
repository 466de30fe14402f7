"""A chat as a file: for reading, for programs, for fine-tuning."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connector import Role
from db import ChatSession, Conversation, MessageStatus, StoredMessage
from pages.shared import base
from pages.shared.chat import history


@dataclass(frozen=True)
class Form:
    """One kind of file."""

    label: str
    suffix: str
    media_type: str
    about: str
    written: Callable[[ChatSession, Conversation], str]


def write(form: Form, session_id: str) -> str:
    """The current branch of a chat in this form."""
    chats, who = base.database().chat_sessions, base.person()
    return form.written(chats.get(who, session_id), chats.conversation(who, session_id))


def _markdown(chat: ChatSession, said: Conversation) -> str:
    parts = [f"# {chat.title}"]
    if chat.system_prompt.strip():
        parts.append(f"## System\n\n{chat.system_prompt}")
    for message in said.messages:
        pictures = f"\n\n({len(message.images)} pictures)" if message.images else ""
        ending = "" if message.status is MessageStatus.COMPLETE else f"\n\n({message.status})"
        parts.append(f"## {message.role.capitalize()}\n\n{message.content}{pictures}{ending}")
    return "\n\n".join(parts) + "\n"


def _json(chat: ChatSession, said: Conversation) -> str:
    whole = {
        "title": chat.title,
        "system_prompt": chat.system_prompt,
        "created_at": chat.created_at.isoformat(),
        "messages": [_fields(message) for message in said.messages],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def _fields(message: StoredMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content, "at": message.created_at.isoformat()}
    if message.reasoning:
        fields["reasoning"] = message.reasoning
    if call := message.call:
        fields |= {
            "status": message.status,
            "finish_reason": message.finish_reason,
            "model": call.model_answered or call.model_asked,
            "prompt_tokens": call.prompt_tokens,
            "completion_tokens": call.completion_tokens,
            "cost": call.cost,
        }
    return fields


def _fine_tuning(chat: ChatSession, said: Conversation) -> str:
    spoken = [message for turn in history.turns_of(said.said) for message in turn]
    messages = [{"role": message.role, "content": message.content} for message in spoken]
    if chat.system_prompt.strip():
        messages.insert(0, {"role": Role.SYSTEM, "content": chat.system_prompt})
    return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


FORMS = (
    Form("Markdown", "md", "text/markdown", "For reading.", _markdown),
    Form("JSON", "json", "application/json", "With tokens and cost of each answer.", _json),
    Form("JSONL", "jsonl", "application/jsonl", "One training example for fine-tuning at OpenAI.", _fine_tuning),
)
