"""Messages of requests as plain fields and texts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

__all__ = ["Message", "as_mapping", "last_message_text", "message_text", "turn_text"]

Message: TypeAlias = Mapping[str, Any] | BaseModel
"""A message of a request; those of earlier completions are models."""


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


def turn_text(message: Mapping[str, Any]) -> str:
    """Return a message as one text, with its refusal and its tool calls as JSON.

    The texts of content parts are joined, other parts become their kind, such as `[image_url]`.
    """
    calls = [message[name] for name in ("tool_calls", "function_call") if message.get(name)]
    texts = [json.dumps(call, ensure_ascii=False, default=dict) for call in calls]
    content = message_text(message) or message.get("refusal") or ""
    return "\n".join(text for text in (content, *texts) if text)


def _part(part: object) -> str:
    fields = cast("Mapping[str, Any]", part)
    kind = str(fields.get("type"))
    text = fields.get(kind)
    return text if isinstance(text, str) else f"[{kind}]"
