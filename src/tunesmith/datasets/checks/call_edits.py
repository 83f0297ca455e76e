"""Edits of tools, tool calls and their answers."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.rows import Row
from tunesmith.datasets.turns import plain_text
from tunesmith.training_rules import PAIR_KEYS

__all__ = [
    "add_call_ids",
    "add_call_types",
    "lacks_call_ids",
    "messages_of",
    "rewrite_calls",
    "rewrite_tools",
    "serialize_arguments",
    "to_tool",
]

_CALL_PARTS = ("tool_use", "tool_result")


def messages_of(data: Any) -> Iterator[dict[str, Any]]:
    """Yield all messages of a row, whatever its format."""
    if is_object(data):
        for value in (data.get("messages"), data.get("input"), *map(data.get, PAIR_KEYS[1:])):
            yield from messages_of(value)
    elif is_list(data):
        yield from filter(is_object, data)


def calls_of(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all tool calls of a row."""
    for message in messages_of(data):
        calls = message.get("tool_calls")
        yield from filter(is_object, calls if is_list(calls) else [])


def serialize_arguments(row: Row) -> None:
    """Write the arguments of calls as JSON text."""
    functions = [call.get("function") for call in calls_of(row.data)]
    functions += [message.get("function_call") for message in messages_of(row.data)]
    for function in filter(is_object, functions):
        if isinstance(arguments := function.get("arguments"), dict | list):
            function["arguments"] = to_json(arguments).decode()


def add_call_types(row: Row) -> None:
    """Set the type of calls to `function`."""
    for call in calls_of(row.data):
        call.setdefault("type", "function")


def rewrite_tools(row: Row) -> None:
    """Describe tools as functions with parameters."""
    for owner in (row.data, row.data.get("input")):
        if is_object(owner) and is_list(tools := owner.get("tools")):
            owner["tools"] = [to_tool(tool) if is_object(tool) else tool for tool in tools]


def to_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool that is described without `function`, as other APIs do."""
    if "name" not in tool or "function" in tool:
        return tool
    keys = ("name", "description", "parameters", "strict")
    function = {key: tool[key] for key in keys if key in tool}
    if "input_schema" in tool:
        function["parameters"] = tool["input_schema"]
    return {"type": "function", "function": function}


def rewrite_calls(row: Row) -> None:
    """Move calls and answers out of the parts of messages."""
    for owner in (row.data, row.data.get("input")):
        if is_object(owner) and is_list(messages := owner.get("messages")):
            owner["messages"] = [part for message in messages for part in _split_calls(message)]


def _split_calls(message: Any) -> list[Any]:
    """Return a message without calls and answers among its parts, and a message for each answer."""
    content = message.get("content") if is_object(message) else None
    if not is_list(content) or not all(map(is_object, content)):
        return [message]
    answers = [
        {
            "role": "tool",
            "tool_call_id": part.get("tool_use_id"),
            "content": plain_text(part.get("content")) or to_json(part.get("content")).decode(),
        }
        for part in content
        if part.get("type") == "tool_result"
    ]
    calls = [
        {
            "id": part.get("id"),
            "type": "function",
            "function": {
                "name": part.get("name"),
                "arguments": to_json(part.get("input")).decode(),
            },
        }
        for part in content
        if part.get("type") == "tool_use"
    ]
    others = [part for part in content if part.get("type") not in _CALL_PARTS]
    if not answers and not calls:
        return [message]
    message = {**message, "content": others or None} | ({"tool_calls": calls} if calls else {})
    return [*answers, *([message] if others or calls else [])]


def lacks_call_ids(data: dict[str, Any]) -> bool:
    """Return whether a tool call or the answer to one has no id."""
    answers = (m for m in messages_of(data) if m.get("role") == "assistant")
    calls = any(
        "id" not in call and is_object(call.get("function"))
        for call in calls_of({"messages": list(answers)})
    )
    return calls or any(map(_lacks_id, messages_of(data)))


def add_call_ids(row: Row) -> None:
    """Number the calls without an id, and the answers without one in the order of the calls."""
    open_calls: list[str] = []
    for index, message in enumerate(messages_of(row.data)):
        if message.get("role") == "assistant":
            calls = [*calls_of({"messages": [message]})]
            for number, call in enumerate(calls):
                call.setdefault("id", f"call_{index}_{number}")
            open_calls = [call["id"] for call in calls]
        elif _lacks_id(message):
            message["tool_call_id"] = open_calls.pop(0) if open_calls else ""


def _lacks_id(message: dict[str, Any]) -> bool:
    return message.get("role") == "tool" and "tool_call_id" not in message
