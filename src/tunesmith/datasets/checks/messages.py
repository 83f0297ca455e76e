"""Messages of a conversation: what the service would refuse in them."""

from collections.abc import Iterator
from typing import Any

from tunesmith.datasets.checks.images import inspect_parts
from tunesmith.datasets.checks.row_rules import Problem, Rule
from tunesmith.datasets.checks.tools import inspect_calls
from tunesmith.datasets.json_types import is_list, is_object

__all__ = ["MESSAGE_RULES", "inspect_messages", "is_message_list", "without_unknown_keys"]

_KEYS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {
        "role",
        "content",
        "name",
        "refusal",
        "tool_calls",
        "function_call",
        "weight",
        "audio",
    },
    "tool": {"role", "content", "tool_call_id", "name"},
    "function": {"role", "content", "name"},
}

MESSAGE_RULES = {
    "no-messages": Rule("`messages` is to be a list of one message or more."),
    "bad-message": Rule("a message is not an object."),
    "missing-role": Rule("a message has no `role`."),
    "unknown-role": Rule(f"a message's role is not one of {', '.join(_KEYS)}."),
    "bad-content": Rule("a message's content is neither text nor a list of parts."),
    "empty-content": Rule("a message has no content."),
    "bad-weight": Rule("`weight` is to be 0 or 1, and is for the assistant's messages only."),
}


def is_message_list(messages: object) -> bool:
    """Whether this can be looked at message by message."""
    return is_list(messages) and all(is_object(m) for m in messages)


def inspect_messages(
    messages: Any, path: str, tools: frozenset[str] | None = None, *, weights: bool = True
) -> Iterator[Problem]:
    """Find what is wrong with each message, and with how they follow each other.

    Args:
        messages: The messages.
        path: Where they are, such as `input.messages`.
        tools: The names of the tools that may be called; None if they are unknown.
        weights: Whether messages may have a weight.
    """
    if not is_list(messages) or not messages:
        yield Problem("no-messages", path, messages)
        return
    for index, message in enumerate(messages):
        where = f"{path}[{index}]"
        if not is_object(message):
            yield Problem("bad-message", where, message)
            continue
        yield from _inspect_message(message, where, weights=weights)
    if is_message_list(messages):
        yield from inspect_calls(messages, path, tools)


def without_unknown_keys(messages: Any) -> None:
    """Remove from messages what `inspect_messages` calls an unknown key."""
    for message in messages if is_list(messages) else ():
        if is_object(message) and isinstance(role := message.get("role"), str):
            for key in message.keys() - _KEYS.get(role, message.keys()) - {"weight"}:
                del message[key]


def _inspect_message(message: dict[str, Any], where: str, *, weights: bool) -> Iterator[Problem]:
    role = message.get("role")
    if role is None:
        yield Problem("missing-role", where, message)
        return
    keys = _KEYS.get(role) if isinstance(role, str) else None
    if keys is None:
        yield Problem("unknown-role", f"{where}.role", role)
        return
    for key in message.keys() - keys:
        if key != "weight":
            yield Problem("unknown-key", f"{where}.{key}", key)
    if "weight" in message:
        weight = message["weight"]
        if role != "assistant" or not weights or isinstance(weight, bool) or weight not in (0, 1):
            yield Problem("bad-weight", f"{where}.weight", weight)
    yield from _inspect_content(message, role, where)


def _inspect_content(message: dict[str, Any], role: str, where: str) -> Iterator[Problem]:
    content = message.get("content")
    if isinstance(content, str):
        if not content.strip() and role != "tool" and not _has_tool_call(message):
            yield Problem("empty-content", f"{where}.content", content)
    elif is_list(content):
        if not content:
            yield Problem("empty-content", f"{where}.content", content)
        yield from inspect_parts(content, role, f"{where}.content")
    elif content is not None:
        yield Problem("bad-content", f"{where}.content", content)
    elif not _has_tool_call(message):
        yield Problem("empty-content", f"{where}.content", message)


def _has_tool_call(message: dict[str, Any]) -> bool:
    """Whether an assistant calls or refuses instead of saying something."""
    return bool(message.get("tool_calls") or message.get("function_call") or message.get("refusal"))
