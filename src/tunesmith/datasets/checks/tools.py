"""Tools and their calls in conversations."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from tunesmith.datasets.checks.row_rules import Problem, Rule
from tunesmith.datasets.json_types import is_list, is_object

__all__ = ["TOOL_RULES", "inspect_calls", "inspect_tools", "tool_names"]

TOOL_RULES = {
    "bad-tool": Rule("a tool is to be a function with a name and JSON-schema parameters."),
    "bad-tool-call": Rule(
        "a tool call is to have an `id`, the type `function`, a `name` and `arguments` as JSON "
        "text."
    ),
    "unknown-tool": Rule("a tool is called that is not among the row's `tools`."),
    "unanswered-tool-call": Rule("a tool call has no answer before the next message."),
    "stray-tool-message": Rule("a tool message answers no call: its `tool_call_id` is unknown."),
}


def tool_names(data: dict[str, Any]) -> frozenset[str] | None:
    """The names of the tools that a row describes; None if it describes none."""
    tools = data.get("tools")
    functions = data.get("functions")
    if tools is None and functions is None:
        return None
    described = [t.get("function") for t in _objects(tools)] + _objects(functions)
    return frozenset(str(f.get("name")) for f in described if is_object(f))


def inspect_tools(data: dict[str, Any], path: str = "") -> Iterator[Problem]:
    """Find what is wrong with the tools that a row describes."""
    for key in ("tools", "functions"):
        value = data.get(key)
        if value is None:
            continue
        if not is_list(value):
            yield Problem("bad-tool", f"{path}{key}", value)
            continue
        for index, tool in enumerate(value):
            function = tool.get("function") if key == "tools" and is_object(tool) else tool
            if key == "tools" and (not is_object(tool) or tool.get("type") != "function"):
                function = None
            if not _is_function(function):
                yield Problem("bad-tool", f"{path}{key}[{index}]", tool)


def inspect_calls(
    messages: list[dict[str, Any]], path: str, tools: frozenset[str] | None
) -> Iterator[Problem]:
    """Find calls that are malformed, of unknown tools or unanswered, and answers to no call."""
    open_calls: dict[str, str] = {}
    for index, message in enumerate(messages):
        where = f"{path}[{index}]"
        if message.get("role") == "tool":
            call = message.get("tool_call_id")
            if not isinstance(call, str) or open_calls.pop(call, None) is None:
                yield Problem("stray-tool-message", f"{where}.tool_call_id", call)
            continue
        for field in open_calls.values():
            yield Problem("unanswered-tool-call", field)
        open_calls = {}
        legacy = message.get("function_call")
        if legacy is not None:
            yield from _inspect_function(legacy, f"{where}.function_call", tools)
        calls = message.get("tool_calls")
        if calls is None:
            continue
        if not is_list(calls):
            yield Problem("bad-tool-call", f"{where}.tool_calls", calls)
            continue
        for number, call in enumerate(calls):
            field = f"{where}.tool_calls[{number}]"
            yield from _inspect_call(call, field, tools)
            if is_object(call) and isinstance(call.get("id"), str):
                open_calls[call["id"]] = field
    # A conversation may end with a call: that is what is to be learnt then.


def _inspect_call(call: Any, field: str, tools: frozenset[str] | None) -> Iterator[Problem]:
    if (
        not is_object(call)
        or not isinstance(call.get("id"), str)
        or call.get("type", "function") != "function"
    ):
        yield Problem("bad-tool-call", field, call)
        return
    yield from _inspect_function(call.get("function"), f"{field}.function", tools)


def _inspect_function(function: Any, field: str, tools: frozenset[str] | None) -> Iterator[Problem]:
    if not is_object(function) or not isinstance(function.get("name"), str):
        yield Problem("bad-tool-call", field, function)
        return
    if not _is_json(function.get("arguments")):
        yield Problem("bad-tool-call", f"{field}.arguments", function.get("arguments"))
    if tools is not None and function["name"] not in tools:
        yield Problem("unknown-tool", f"{field}.name", function["name"])


def _is_function(function: Any) -> bool:
    return (
        is_object(function)
        and isinstance(function.get("name"), str)
        and bool(function["name"])
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
