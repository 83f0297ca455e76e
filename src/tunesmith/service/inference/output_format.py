"""Format of a chat completion: free text, JSON of a schema, or calls of tools."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, cast

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.service.core.errors import invalid
from tunesmith.service.engines.generation import ToolCallSpec
from tunesmith.service.inference.json_schema_sampler import sample_value, word_cycle
from tunesmith.service.inference.strict_schema import validate_strict_schema
from tunesmith.service.inference.stubs import Reply

__all__ = ["OutputFormat", "OutputSegment", "output_format_for", "stub_output_format"]

Fields = Mapping[str, Any]

_ANY_OBJECT: Fields = {"type": "object", "properties": {"answer": {"type": "string"}}}
_MAX_TOOLS = 128


@dataclass(frozen=True, slots=True)
class OutputSegment:
    """Part of a generated text: content, or the arguments of one call.

    Args:
        kind: `tool` is a function of `tools`, `function` one of the deprecated `functions`;
            `custom` is a tool that takes a text; a `refusal` is sent instead of content.
        name: The function's name.
        id: The tool call's id; None for a new one.
        start: Offset of its first character in the generated text.
        call_index: Index of the call in the message.
    """

    kind: Literal["text", "refusal", "tool", "custom", "function"] = "text"
    name: str = ""
    id: str | None = None
    start: int = 0
    call_index: int = 0

    @property
    def is_call(self) -> bool:
        """Whether it is a call."""
        return self.kind not in {"text", "refusal"}


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """Format of a completion.

    Args:
        segments: Its segments, in order; none if the engine decides which tools are called.
        schema: JSON schema of the text; None for free text.
        finish_reason: Finish reason of a complete text, or of one with calls if the engine makes
            them.
        tool_calls: Calls that the engine may make.
        call_kind: Kind of the segments of these.
    """

    segments: tuple[OutputSegment, ...] = (OutputSegment(),)
    schema: Fields | None = None
    finish_reason: str = "stop"
    tool_calls: ToolCallSpec | None = None
    call_kind: Literal["tool", "function"] = "tool"

    def sample_json(self, text: str) -> str:
        """Return JSON that fits the schema, with the words of a text."""
        value = sample_value(self.schema or {}, word_cycle(text))
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def stub_output_format(
    requested: OutputFormat, stub: Reply, operation: CreateChatCompletion
) -> OutputFormat:
    """Return the format of a stubbed reply.

    Args:
        requested: The format that the request asks for.
        stub: The reply.
        operation: The request, which tells deprecated functions and custom tools from tools.
    """
    if stub.refusal is not None:
        return OutputFormat((OutputSegment("refusal"),))
    if not stub.tool_calls:
        return requested
    tools = [cast("Fields", tool) for tool in operation.tools or ()]
    custom = {_name(tool) for tool in tools if tool["type"] == "custom"}
    starts = list(accumulate((len(text) for text in stub.segments), initial=0))
    content = (OutputSegment(),) if stub.has_text else ()
    calls = tuple(
        OutputSegment(
            "function" if operation.functions else "custom" if call.name in custom else "tool",
            call.name,
            call.id,
            starts[len(content) + index],
            index,
        )
        for index, call in enumerate(stub.tool_calls)
    )
    return OutputFormat(
        content + calls, None, "function_call" if operation.functions else "tool_calls"
    )


def output_format_for(
    operation: CreateChatCompletion, *, is_generated: bool = False
) -> OutputFormat:
    """Return the format that a request asks for.

    Args:
        operation: The request.
        is_generated: Whether the engine makes tool calls. If it does not, tools are called only if
            the request requires it; if it leaves the choice, the format is text.

    Raises:
        ServiceError: The request is contradictory, or has too many tools.
    """
    n_tools = len(operation.tools or ())
    if n_tools > _MAX_TOOLS:
        raise invalid(
            f"Invalid 'tools': array too long. Expected an array with maximum length {_MAX_TOOLS}, "
            f"but got an array with length {n_tools} instead.",
            "tools",
            "array_above_max_length",
        )
    for index, tool in enumerate(cast("Sequence[Fields]", operation.tools or ())):
        function: Fields = tool.get("function") or {}
        if function.get("strict"):
            place = f"tools[{index}].function.parameters"
            validate_strict_schema(function.get("parameters"), f"function '{_name(tool)}'", place)
    required = _required_tool(operation) or _required_function(operation)
    if is_generated and (operation.tools or operation.functions):
        return _generated(operation, required)
    return required or _content(operation)


def _generated(operation: CreateChatCompletion, required: OutputFormat | None) -> OutputFormat:
    """Return the format of a request whose calls the engine makes.

    Args:
        operation: The request.
        required: The format of the call that it requires, if any.
    """
    tools = [cast("Fields", tool) for tool in operation.tools or ()]
    for index, tool in enumerate(tools):
        if tool["type"] == "custom":
            raise invalid(
                f"The model '{operation.model}' calls only functions. Leave out custom tools, or "
                "write them as functions.",
                f"tools[{index}].type",
            )
    functions = [tool["function"] for tool in tools] or list(operation.functions or ())
    choice = cast("str | Fields | None", operation.tool_choice or operation.function_call)
    if choice == "none":
        functions = []
    elif isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        allowed = choice["allowed_tools"]["tools"]
        functions = [_find_tool(tools, tool)["function"] for tool in allowed]
    elif isinstance(choice, Mapping):
        name = choice["name"] if operation.functions else _name(choice)
        functions = [function for function in functions if function["name"] == name]
    is_named = required is not None and required.finish_reason == "stop"
    is_parallel = operation.parallel_tool_calls is not False and not is_named
    answer = "function_call" if operation.functions else "tool_calls"
    return OutputFormat(
        (),
        _content(operation).schema,
        "stop" if is_named else answer,
        ToolCallSpec(functions, required is not None, is_parallel and bool(operation.tools)),
        "function" if operation.functions else "tool",
    )


def _required_tool(operation: CreateChatCompletion) -> OutputFormat | None:
    choice = cast("str | Fields | None", operation.tool_choice)
    if choice is None:
        return None
    tools = [cast("Fields", tool) for tool in operation.tools or ()]
    if not tools:
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if isinstance(choice, str):
        return _tool_format(tools[0], "tool_calls") if choice == "required" else None
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        first = _find_tool(tools, next(iter(allowed["tools"]), choice))
        return _tool_format(first, "tool_calls") if allowed["mode"] == "required" else None
    return _tool_format(_find_tool(tools, choice))


def _find_tool(tools: Sequence[Fields], choice: Fields) -> Fields:
    name = _name(choice)
    for tool in tools:
        if (tool["type"], _name(tool)) == (choice["type"], name):
            return tool
    raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def _tool_format(tool: Fields, finish_reason: str = "stop") -> OutputFormat:
    if tool["type"] == "custom":
        return OutputFormat((OutputSegment("custom", _name(tool)),), None, finish_reason)
    segment = OutputSegment("tool", _name(tool))
    return OutputFormat((segment,), _parameters(tool["function"]), finish_reason)


def _name(tool: Fields) -> str:
    return str(tool.get(tool["type"], {}).get("name"))


def _required_function(operation: CreateChatCompletion) -> OutputFormat | None:
    choice = cast("str | Fields | None", operation.function_call)
    if choice is None:
        return None
    if not operation.functions:
        raise invalid(
            "'function_call' is only allowed when 'functions' are specified.", "function_call"
        )
    if isinstance(choice, str):
        return None
    name = str(choice.get("name"))
    for function in (cast("Fields", item) for item in operation.functions):
        if function["name"] == name:
            return OutputFormat((OutputSegment("function", name),), _parameters(function))
    raise invalid(f"Function call '{name}' not found in 'functions' parameter.", "function_call")


def _content(operation: CreateChatCompletion) -> OutputFormat:
    response_format = cast("Fields", operation.response_format or {})
    match response_format.get("type"):
        case "json_schema":
            named: Fields = response_format["json_schema"]
            if named.get("strict"):
                subject = f"response_format '{named.get('name')}'"
                validate_strict_schema(named.get("schema"), subject, "response_format")
            return OutputFormat(schema=named.get("schema") or _ANY_OBJECT)
        case "json_object":
            if "json" not in json.dumps(list(operation.messages), default=dict).lower():
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
