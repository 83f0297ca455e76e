"""Rules for tools, their calls and the answers to them."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from tunesmith._json_types import is_list, is_object
from tunesmith.training_rules.rules import Problem

__all__ = ["inspect_calls", "inspect_tools", "tool_names"]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def tool_names(data: dict[str, Any]) -> frozenset[str] | None:
    """Return the names of the tools that a row describes; None if it describes none."""
    tools, functions = data.get("tools"), data.get("functions")
    if tools is None and functions is None:
        return None
    described = [tool.get("function") for tool in _objects(tools)] + _objects(functions)
    return frozenset(str(function.get("name")) for function in described if is_object(function))


def inspect_tools(data: dict[str, Any], path: str = "") -> Iterator[Problem]:
    """Find the problems of the tools that a row describes."""
    for key in ("tools", "functions"):
        tools = data.get(key)
        if tools is None:
            continue
        if not is_list(tools):
            yield Problem("bad-tool", f"{path}{key}", tools)
            continue
        for index, tool in enumerate(tools):
            function = tool
            if key == "tools":
                is_typed = is_object(tool) and tool.get("type") == "function"
                function = tool.get("function") if is_typed else None
            if not _is_function(function):
                yield Problem("bad-tool", f"{path}{key}[{index}]", tool)


def inspect_calls(
    messages: list[dict[str, Any]], path: str, tools: frozenset[str] | None
) -> Iterator[Problem]:
    """Find malformed calls, calls of unknown tools or without answer, and answers without call.

    A conversation may end with calls: then the calls are what is learned.
    """
    open_calls: dict[str, str] = {}
    for index, message in enumerate(messages):
        place = f"{path}[{index}]"
        if message.get("role") == "tool":
            call_id = message.get("tool_call_id")
            if not isinstance(call_id, str) or open_calls.pop(call_id, None) is None:
                yield Problem("stray-tool-message", f"{place}.tool_call_id", call_id)
            continue
        for call_path in open_calls.values():
            yield Problem("unanswered-tool-call", call_path)
        open_calls = {}
        # A call of anyone but the assistant is an unknown key.
        answer = message if message.get("role") == "assistant" else {}
        if answer.get("function_call") is not None:
            function_path = f"{place}.function_call"
            yield from _inspect_function(answer["function_call"], function_path, tools)
        calls = answer.get("tool_calls")
        if calls is None:
            continue
        if not is_list(calls):
            yield Problem("bad-tool-call", f"{place}.tool_calls", calls)
            continue
        for number, call in enumerate(calls):
            call_path = f"{place}.tool_calls[{number}]"
            yield from _inspect_call(call, call_path, tools)
            if is_object(call) and isinstance(call.get("id"), str):
                open_calls[call["id"]] = call_path


def _inspect_call(call: Any, path: str, tools: frozenset[str] | None) -> Iterator[Problem]:
    if is_object(call) and isinstance(call.get("id"), str) and call.get("type") == "function":
        yield from _inspect_function(call.get("function"), f"{path}.function", tools)
    else:
        yield Problem("bad-tool-call", path, call)


def _inspect_function(function: Any, path: str, tools: frozenset[str] | None) -> Iterator[Problem]:
    if not is_object(function) or not isinstance(function.get("name"), str):
        yield Problem("bad-tool-call", path, function)
        return
    if not _is_json(function.get("arguments")):
        yield Problem("bad-arguments", f"{path}.arguments", function.get("arguments"))
    if tools is not None and function["name"] not in tools:
        yield Problem("unknown-tool", f"{path}.name", function["name"])


def _is_function(function: Any) -> bool:
    return (
        is_object(function)
        and isinstance(function.get("name"), str)
        and _NAME.fullmatch(function["name"]) is not None
        and is_object(function.get("parameters", {}))
    )


def _is_json(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    try:
        from_json(text)
    except ValueError:
        return False
    return True


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if is_object(item)] if is_list(value) else []
