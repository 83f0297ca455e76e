"""Rules for messages and their content."""

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.training_rules.images import inspect_parts
from tunesmith.training_rules.rules import Problem
from tunesmith.training_rules.tools import inspect_calls

__all__ = ["inspect_messages", "is_learned", "message_keys"]

_NAMED = frozenset({"role", "content", "name"})
_KEYS: Mapping[str, frozenset[str]] = {
    "system": _NAMED,
    "developer": _NAMED,
    "user": _NAMED,
    "assistant": _NAMED | {"refusal", "tool_calls", "function_call"},
    "tool": _NAMED | {"tool_call_id"},
    "function": _NAMED,
}


def message_keys(role: object, *, weights: bool) -> frozenset[str] | None:
    """Return the keys that a message of a role may have; None for an unknown role."""
    keys = _KEYS.get(role) if isinstance(role, str) else None
    return keys | {"weight"} if keys and weights and role == "assistant" else keys


def is_learned(message: Mapping[str, Any]) -> bool:
    """Return whether supervised training learns to write a message.

    The assistant's messages are learned unless their weight is 0; everything else is context.
    """
    return message.get("role") == "assistant" and message.get("weight") != 0


def inspect_messages(
    messages: Any, path: str, tools: frozenset[str] | None, *, weights: bool
) -> Iterator[Problem]:
    """Find the problems of each message, and of calls and answers between them.

    Args:
        messages: The messages.
        path: Where they are, such as `input.messages`.
        tools: The names of the tools that may be called; None if no tools are described.
        weights: Whether messages of the assistant may have a weight.
    """
    if not is_list(messages) or not messages:
        yield Problem("no-messages", path, messages)
        return
    for index, message in enumerate(messages):
        if is_object(message):
            yield from _inspect_message(message, f"{path}[{index}]", weights=weights)
        else:
            yield Problem("bad-message", f"{path}[{index}]", message)
    if all(is_object(message) for message in messages):
        yield from inspect_calls(messages, path, tools)


def _inspect_message(message: dict[str, Any], path: str, *, weights: bool) -> Iterator[Problem]:
    role = message.get("role")
    if role is None:
        yield Problem("missing-role", path, message)
        return
    keys = message_keys(role, weights=weights)
    if keys is None:
        yield Problem("unknown-role", f"{path}.role", role)
        return
    for key in message:
        if key not in keys:
            yield Problem("unknown-key", f"{path}.{key}", key, message)
    weight = message.get("weight")
    if "weight" in keys and weight is not None and not _is_zero_or_one(weight):
        yield Problem("bad-weight", f"{path}.weight", weight)
    yield from _inspect_content(message, role, f"{path}.content")


def _is_zero_or_one(weight: object) -> bool:
    return not isinstance(weight, bool) and weight in (0, 1)


def _inspect_content(message: dict[str, Any], role: str, path: str) -> Iterator[Problem]:
    content = message.get("content")
    # The service accepts empty system messages, and a tool may have nothing to answer.
    needs_text = role in ("user", "assistant") and not _has_other_output(message, role)
    if isinstance(content, str):
        if needs_text and not content.strip():
            yield Problem("empty-content", path, content)
    elif is_list(content):
        if needs_text and not content:
            yield Problem("empty-content", path, content)
        yield from inspect_parts(content, role, path)
    elif content is not None:
        yield Problem("bad-content", path, content)
    elif not _has_other_output(message, role):
        yield Problem("empty-content", path)


def _has_other_output(message: dict[str, Any], role: str) -> bool:
    """Return whether an assistant calls a tool or refuses instead of writing a text."""
    return role == "assistant" and any(
        message.get(key) for key in ("tool_calls", "function_call", "refusal")
    )
