"""The form a chat answer must have: free text, JSON of a schema, or a call of a function."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal, cast

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.service.core.errors import invalid
from tunesmith.service.inference.json_schema_sampler import value_for, words_of
from tunesmith.service.inference.stubs import Reply

__all__ = ["Form", "Part", "form_of", "scripted_form"]

Fields = Mapping[str, Any]

_ANY_OBJECT: Fields = {"type": "object", "properties": {"answer": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class Part:
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
class Form:
    """What an answer is made of.

    Args:
        parts: Its stretches, in order.
        schema: What its JSON must fit; None for text.
        ended: The finish reason of an answer that is whole.
    """

    parts: tuple[Part, ...] = (Part(),)
    schema: Fields | None = None
    ended: str = "stop"

    def fill(self, text: str) -> str:
        """Make JSON that fits, out of a text's words."""
        value = value_for(self.schema or {}, words_of(text))
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def reached(self, chars: int) -> int:
        """Tell how many parts have begun before the next of so many characters is generated."""
        return sum(part.start <= chars for part in self.parts)

    def split(self, text: str) -> list[tuple[Part, str]]:
        """Give each part that has begun its text."""
        begun = self.parts[: self.reached(len(text))]
        ends = [part.start for part in begun[1:]] + [len(text)]
        return [(part, text[part.start : end]) for part, end in zip(begun, ends, strict=True)]


def scripted_form(form: Form, reply: Reply, asked: CreateChatCompletion) -> Form:
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
    starts = list(accumulate((len(piece) for piece in reply.pieces), initial=0))
    text = (Part(),) if reply.has_text else ()
    calls = tuple(
        Part(
            "function" if asked.functions else "custom" if call.name in custom else "tool",
            call.name,
            call.id,
            starts[len(text) + index],
            index,
        )
        for index, call in enumerate(reply.tool_calls)
    )
    return Form(text + calls, None, "function_call" if asked.functions else "tool_calls")


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
        return Form((Part("custom", _name(tool)),))
    return Form((Part("tool", _name(tool)),), _parameters(tool["function"]))


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
    return Form((Part("function", name),), schemas[name])


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
