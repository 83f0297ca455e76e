"""From the messages of a request to a conversation as engines know it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from tunesmith.service.engines.base import ChatMessage

__all__ = ["Message", "as_mapping", "message_text", "to_chat_messages"]

Message: TypeAlias = Mapping[str, Any] | BaseModel
"""A message as the API takes it."""


def to_chat_messages(messages: Iterable[Message]) -> list[ChatMessage]:
    """Write messages as plain turns.

    Of a message with parts the texts are joined, other parts stand there by their kind, such as
    `[image_url]`; tool calls are written as JSON.

    Args:
        messages: As the API takes them.
    """
    return [ChatMessage(str(turn["role"]), _turn(turn)) for turn in map(as_mapping, messages)]


def as_mapping(message: Message) -> Mapping[str, Any]:
    """Read a message, which may be one of an earlier answer, as plain fields."""
    return message.model_dump(exclude_unset=True) if isinstance(message, BaseModel) else message


def message_text(message: Mapping[str, Any]) -> str:
    """Write what a message says as one text."""
    content = message.get("content")
    if content is None:
        return ""
    return content if isinstance(content, str) else "\n".join(_part(part) for part in content)


def _turn(message: Mapping[str, Any]) -> str:
    calls = [message[name] for name in ("tool_calls", "function_call") if message.get(name)]
    written = [json.dumps(call, ensure_ascii=False, default=dict) for call in calls]
    return "\n".join([text for text in (message_text(message), *written) if text])


def _part(part: object) -> str:
    fields = cast("Mapping[str, Any]", part)
    kind = str(fields.get("type"))
    text = fields.get(kind)
    return text if isinstance(text, str) else f"[{kind}]"
