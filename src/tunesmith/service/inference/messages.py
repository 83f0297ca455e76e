"""Conversion of API messages to the turns that engines read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from tunesmith.service.engines.base import ChatMessage

__all__ = ["Message", "as_mapping", "last_message_text", "message_text", "to_chat_messages"]

Message: TypeAlias = Mapping[str, Any] | BaseModel
"""A message of a request; those of earlier completions are models."""


def to_chat_messages(messages: Iterable[Message]) -> list[ChatMessage]:
    """Return messages as plain turns.

    The texts of content parts are joined, other parts become their kind, such as `[image_url]`;
    tool calls become JSON.

    Args:
        messages: Messages of a request.
    """
    return [ChatMessage(str(turn["role"]), _turn(turn)) for turn in map(as_mapping, messages)]


def as_mapping(message: Message) -> Mapping[str, Any]:
    """Return a message as plain fields."""
    return message.model_dump(exclude_unset=True) if isinstance(message, BaseModel) else message


def message_text(message: Mapping[str, Any]) -> str:
    """Return the content of a message as one text."""
    content = message.get("content")
    if content is None:
        return ""
    return content if isinstance(content, str) else "\n".join(_part(part) for part in content)


def last_message_text(messages: Sequence[Message]) -> str:
    """Return the content of the last message as one text."""
    return message_text(as_mapping(messages[-1])) if messages else ""


def _turn(message: Mapping[str, Any]) -> str:
    calls = [message[name] for name in ("tool_calls", "function_call") if message.get(name)]
    texts = [json.dumps(call, ensure_ascii=False, default=dict) for call in calls]
    return "\n".join([text for text in (message_text(message), *texts) if text])


def _part(part: object) -> str:
    fields = cast("Mapping[str, Any]", part)
    kind = str(fields.get("type"))
    text = fields.get(kind)
    return text if isinstance(text, str) else f"[{kind}]"
