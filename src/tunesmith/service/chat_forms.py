"""The form a chat answer must have: free text, JSON of a schema, or a call of a function."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.service.errors import invalid
from tunesmith.service.schema_values import value_for, words_of

__all__ = ["Form", "form_of"]

Fields = Mapping[str, Any]

_ANY_OBJECT: Fields = {"type": "object", "properties": {"answer": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class Form:
    """What kind of answer it is.

    Args:
        kind: `tool` and `function` are calls of functions, in the new and in the old way of the
            API; `custom` calls a tool with a text.
        schema: What its JSON must fit; None for text.
        name: The function to call.
        ended: The finish reason of an answer that is whole.
    """

    kind: Literal["text", "tool", "custom", "function"] = "text"
    schema: Fields | None = None
    name: str = ""
    ended: Literal["stop", "tool_calls"] = "stop"

    def fill(self, text: str) -> str:
        """Make JSON that fits, out of a text's words."""
        value = value_for(self.schema or {}, words_of(text))
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def form_of(asked: CreateChatCompletion) -> Form:
    """Tell which form the answer must have.

    Functions are called only where a request forces it; where it leaves the choice, the answer is
    text.

    Raises:
        ServiceError: The request contradicts itself.
    """
    return _forced_tool(asked) or _forced_function(asked) or _formatted(asked)


def _forced_tool(asked: CreateChatCompletion) -> Form | None:
    choice = cast("str | Fields | None", asked.tool_choice)
    if choice is None:
        return None
    tools = [cast("Fields", tool) for tool in asked.tools or ()]
    if not tools:
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if isinstance(choice, str):
        return replace(_call_of(tools[0]), ended="tool_calls") if choice == "required" else None
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        first = _call_of(_chosen(tools, next(iter(allowed["tools"]), choice)))
        return replace(first, ended="tool_calls") if allowed["mode"] == "required" else None
    return _call_of(_chosen(tools, choice))


def _chosen(tools: Sequence[Fields], choice: Fields) -> Fields:
    name = _name(choice)
    for tool in tools:
        if (tool["type"], _name(tool)) == (choice["type"], name):
            return tool
    raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def _call_of(tool: Fields) -> Form:
    if tool["type"] == "custom":
        return Form("custom", name=_name(tool))
    return Form("tool", _parameters(tool["function"]), _name(tool))


def _name(tool: Fields) -> str:
    return str(tool.get(tool["type"], {}).get("name"))


def _forced_function(asked: CreateChatCompletion) -> Form | None:
    choice = cast("str | Fields | None", asked.function_call)
    if choice is None:
        return None
    if not asked.functions:
        raise invalid(
            "'function_call' is only allowed when 'functions' are specified.", "function_call"
        )
    if isinstance(choice, str):
        return None
    given = [cast("Fields", function) for function in asked.functions]
    schemas = {str(function["name"]): _parameters(function) for function in given}
    name = str(choice.get("name"))
    if name not in schemas:
        raise invalid(
            f"Function call '{name}' not found in 'functions' parameter.", "function_call"
        )
    return Form("function", schemas[name], name)


def _formatted(asked: CreateChatCompletion) -> Form:
    wanted = cast("Fields", asked.response_format or {})
    match wanted.get("type"):
        case "json_schema":
            return Form(schema=wanted["json_schema"].get("schema") or _ANY_OBJECT)
        case "json_object":
            if "json" not in json.dumps(list(asked.messages), default=dict).lower():
                raise invalid(
                    "'messages' must contain the word 'json' in some form, to use "
                    "'response_format' of type 'json_object'.",
                    "messages",
                )
            return Form(schema=_ANY_OBJECT)
        case _:
            return Form()


def _parameters(function: Fields) -> Fields:
    return cast("Fields", function.get("parameters") or {"type": "object"})
