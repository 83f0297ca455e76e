"""The form a chat answer must have: free text, JSON of a schema, or a call of a function."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal, cast

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.service.core.errors import invalid
from tunesmith.service.inference.json_schema_sampler import sample_value, word_cycle
from tunesmith.service.inference.stubs import Reply

__all__ = ["OutputFormat", "OutputSegment", "output_format_for", "stub_output_format"]

Fields = Mapping[str, Any]

_ANY_OBJECT: Fields = {"type": "object", "properties": {"answer": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class OutputSegment:
    """A stretch of an answer: text, or one call of a function.

    Args:
        kind: `tool` and `function` are calls of functions, in the new and in the old way of the
            API; `custom` calls a tool with a text.
        name: The function to call.
        id: The id of a tool's call; None for a new one.
        start: The place of its first character in all that is generated.
        call_index: Which call of the answer it is.
    """

    kind: Literal["text", "tool", "custom", "function"] = "text"
    name: str = ""
    id: str | None = None
    start: int = 0
    call_index: int = 0


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What an answer is made of.

    Args:
        parts: Its stretches, in order.
        schema: What its JSON must fit; None for text.
        finish_reason: The finish reason of an answer that is whole.
    """

    parts: tuple[OutputSegment, ...] = (OutputSegment(),)
    schema: Fields | None = None
    finish_reason: str = "stop"

    def fill(self, text: str) -> str:
        """Make JSON that fits, out of a text's words."""
        value = sample_value(self.schema or {}, word_cycle(text))
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def started_segments(self, chars: int) -> int:
        """Tell how many parts have begun before the next of so many characters is generated."""
        return sum(part.start <= chars for part in self.parts)

    def split(self, text: str) -> list[tuple[OutputSegment, str]]:
        """Give each part that has begun its text."""
        begun = self.parts[: self.started_segments(len(text))]
        ends = [part.start for part in begun[1:]] + [len(text)]
        return [(part, text[part.start : end]) for part, end in zip(begun, ends, strict=True)]


def stub_output_format(
    form: OutputFormat, reply: Reply, asked: CreateChatCompletion
) -> OutputFormat:
    """Tell the form of a reply that calls tools.

    Args:
        form: The form that the request asks for.
        reply: The reply.
        asked: The request: its functions are called in the old way, its custom tools with a text.
    """
    if not reply.tool_calls:
        return form
    tools = [cast("Fields", tool) for tool in asked.tools or ()]
    custom = {_name(tool) for tool in tools if tool["type"] == "custom"}
    starts = list(accumulate((len(piece) for piece in reply.segments), initial=0))
    text = (OutputSegment(),) if reply.has_text else ()
    calls = tuple(
        OutputSegment(
            "function" if asked.functions else "custom" if call.name in custom else "tool",
            call.name,
            call.id,
            starts[len(text) + index],
            index,
        )
        for index, call in enumerate(reply.tool_calls)
    )
    return OutputFormat(text + calls, None, "function_call" if asked.functions else "tool_calls")


def output_format_for(asked: CreateChatCompletion) -> OutputFormat:
    """Tell which form the answer must have.

    Functions are called only where a request forces it; where it leaves the choice, the answer is
    text.

    Raises:
        ServiceError: The request contradicts itself.
    """
    return _forced_tool(asked) or _forced_function(asked) or _formatted(asked)


def _forced_tool(asked: CreateChatCompletion) -> OutputFormat | None:
    choice = cast("str | Fields | None", asked.tool_choice)
    if choice is None:
        return None
    tools = [cast("Fields", tool) for tool in asked.tools or ()]
    if not tools:
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if isinstance(choice, str):
        return (
            replace(_call_of(tools[0]), finish_reason="tool_calls")
            if choice == "required"
            else None
        )
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        first = _call_of(_find_tool(tools, next(iter(allowed["tools"]), choice)))
        return replace(first, finish_reason="tool_calls") if allowed["mode"] == "required" else None
    return _call_of(_find_tool(tools, choice))


def _find_tool(tools: Sequence[Fields], choice: Fields) -> Fields:
    name = _name(choice)
    for tool in tools:
        if (tool["type"], _name(tool)) == (choice["type"], name):
            return tool
    raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def _call_of(tool: Fields) -> OutputFormat:
    if tool["type"] == "custom":
        return OutputFormat((OutputSegment("custom", _name(tool)),))
    return OutputFormat((OutputSegment("tool", _name(tool)),), _parameters(tool["function"]))


def _name(tool: Fields) -> str:
    return str(tool.get(tool["type"], {}).get("name"))


def _forced_function(asked: CreateChatCompletion) -> OutputFormat | None:
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
    return OutputFormat((OutputSegment("function", name),), schemas[name])


def _formatted(asked: CreateChatCompletion) -> OutputFormat:
    wanted = cast("Fields", asked.response_format or {})
    match wanted.get("type"):
        case "json_schema":
            return OutputFormat(schema=wanted["json_schema"].get("schema") or _ANY_OBJECT)
        case "json_object":
            if "json" not in json.dumps(list(asked.messages), default=dict).lower():
                raise invalid(
                    "'messages' must contain the word 'json' in some form, to use "
                    "'response_format' of type 'json_object'.",
                    "messages",
                )
            return OutputFormat(schema=_ANY_OBJECT)
        case _:
            return OutputFormat()


def _parameters(function: Fields) -> Fields:
    return cast("Fields", function.get("parameters") or {"type": "object"})
