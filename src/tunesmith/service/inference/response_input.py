"""Conversion of requests of the Responses API to chat requests."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from pydantic import ValidationError

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.responses import CountResponseInputTokens, CreateResponse
from tunesmith.service.core.errors import ServiceError, invalid

__all__ = ["Item", "as_parts", "response_params", "to_chat_operation", "to_items"]

Item = Mapping[str, Any]

_ROLES = frozenset({"assistant", "developer", "system", "user"})
_TOOL_CHOICES = frozenset({"auto", "none", "required"})
_CALLABLE_TOOLS = frozenset({"custom", "function"})
_SHOWN_CHARS = 60

_PARAMS = {
    "messages": "input",
    "response_format": "text.format",
    "max_completion_tokens": "max_output_tokens",
}
"""Parameters of chat requests, and those of responses that they are made of."""


@contextmanager
def response_params() -> Generator[None]:
    """Name the parameters of the Responses API in errors of chat requests."""
    try:
        yield
    except ServiceError as error:
        error.param = _PARAMS.get(error.param or "", error.param)
        raise


def to_items(value: str | Sequence[Item] | None) -> list[Item]:
    """Return an input as items with types."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    return [{"type": "message", **item} for item in value or ()]


def as_parts(item: Item) -> Item:
    """Return a message with its text as a content part, as input items are listed."""
    content = item.get("content")
    if not isinstance(content, str):
        return item
    kind = "output_text" if item.get("role") == "assistant" else "input_text"
    return {**item, "content": [{"type": kind, "text": content}]}


def to_chat_operation(
    operation: CreateResponse | CountResponseInputTokens,
    items: Iterable[Item],
    find_item: Callable[[str], Item | None],
) -> CreateChatCompletion:
    """Return the chat request that corresponds to a request of the Responses API.

    Built-in tools, such as web search, are ignored.

    Args:
        operation: The request.
        items: All items of the conversation.
        find_item: Returns a stored item by its id.

    Raises:
        ServiceError: An item, a tool or the format of the text is invalid.
    """
    messages: list[Item] = []
    if operation.instructions:
        messages.append({"role": "system", "content": operation.instructions})
    for index, item in enumerate(items):
        messages += _to_messages(item, f"input[{index}]", find_item)
    if not messages:
        raise invalid("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    tools = [_to_tool(tool) for tool in operation.tools or () if _type(tool) in _CALLABLE_TOOLS]
    parameters: dict[str, Any] = {
        "model": operation.model,
        "messages": messages,
        "tools": tools or None,
        "tool_choice": _to_tool_choice(operation.tool_choice) if tools else None,
        "response_format": _to_response_format(operation),
    }
    if isinstance(operation, CreateResponse):
        parameters |= {
            "max_completion_tokens": operation.max_output_tokens,
            "temperature": operation.temperature,
            "top_p": operation.top_p,
            "logprobs": operation.top_logprobs is not None,
            "top_logprobs": operation.top_logprobs,
            "parallel_tool_calls": operation.parallel_tool_calls,
        }
    try:
        return CreateChatCompletion(**parameters)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        location = ".".join(str(part) for part in problem["loc"])
        name, _, rest = location.partition(".")
        param = _PARAMS.get(name, name)
        place = f"{param}.{rest}" if rest else param
        raise invalid(f"Invalid value at '{place}': {problem['msg']}.", param) from None


def _type(value: Item) -> str:
    return str(value.get("type"))


def _to_messages(item: Item, param: str, find_item: Callable[[str], Item | None]) -> list[Item]:
    kind = _type(item)
    match kind:
        case "message":
            return [_to_message(item, param)]
        case "function_call":
            function = {"name": _text(item, "name"), "arguments": _text(item, "arguments")}
            return [_to_call(item, {"type": "function", "function": function})]
        case "custom_tool_call":
            custom = {"name": _text(item, "name"), "input": _text(item, "input")}
            return [_to_call(item, {"type": "custom", "custom": custom})]
        case "function_call_output" | "custom_tool_call_output":
            output = _join_output(item.get("output"))
            return [{"role": "tool", "tool_call_id": _text(item, "call_id"), "content": output}]
        case "item_reference":
            stored = find_item(_text(item, "id"))
            if stored is None:
                raise invalid(f"Item with id '{_text(item, 'id')}' not found.", "input")
            return _to_messages(stored, param, lambda _: None)
        case _:
            # Reasoning, and calls of built-in tools with their outputs: nothing that engines read.
            if kind == "reasoning" or kind.endswith(("_call", "_output", "_request", "_response")):
                return []
            shown = kind[:_SHOWN_CHARS]
            raise invalid(f"Invalid value: '{shown}'.", f"{param}.type", "invalid_value")


def _to_message(item: Item, param: str) -> Item:
    role = str(item.get("role"))
    if role not in _ROLES:
        shown = role[:_SHOWN_CHARS]
        raise invalid(
            f"Invalid value: '{shown}'. Supported values are: {', '.join(sorted(_ROLES))}.",
            f"{param}.role",
            "invalid_value",
        )
    content = item.get("content")
    if not isinstance(content, list):
        return {"role": role, "content": content}
    parts = [_to_part(part, param) for part in cast("list[object]", content)]
    if role != "user":
        parts = [part for part in parts if _type(part) in {"text", "refusal"}]
    return {"role": role, "content": parts or ""}


def _to_part(part: object, param: str) -> Item:
    fields = cast("Item", part if isinstance(part, Mapping) else {})
    match _type(fields):
        case "input_text" | "output_text" | "text" | "summary_text":
            return {"type": "text", "text": _text(fields, "text")}
        case "refusal":
            return {"type": "refusal", "refusal": _text(fields, "refusal")}
        case "input_image":
            url = fields.get("image_url") or fields.get("file_id") or ""
            return {"type": "image_url", "image_url": {"url": url}}
        case "input_file":
            file = {
                key: fields[key] for key in ("file_id", "filename", "file_data") if key in fields
            }
            return {"type": "file", "file": file}
        case "input_audio":
            return {"type": "input_audio", "input_audio": fields.get("input_audio")}
        case kind:
            shown = kind[:_SHOWN_CHARS]
            raise invalid(f"Invalid value: '{shown}'.", f"{param}.content", "invalid_value")


def _to_call(item: Item, call: Item) -> Item:
    calls = [{"id": _text(item, "call_id"), **call}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _text(fields: Item, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise invalid(
            f"Invalid type for '{name}' of an item of type '{_type(fields)[:_SHOWN_CHARS]}': "
            "expected a string.",
            "input",
            "invalid_type",
        )
    return value


def _join_output(output: object) -> str:
    if isinstance(output, list):
        parts = [_to_part(part, "input") for part in cast("list[object]", output)]
        return "\n".join(str(part.get("text", f"[{_type(part)}]")) for part in parts)
    return output if isinstance(output, str) else ""


def _to_tool(tool: Item) -> Item:
    kind = _type(tool)
    names = ("name", "description", "parameters", "strict", "format")
    fields = {name: tool[name] for name in names if tool.get(name) is not None}
    if kind == "custom":
        fields.pop("format", None)  # grammars of both APIs differ, and engines ignore them
    return {"type": kind, kind: fields}


def _to_tool_choice(choice: str | Item | None) -> str | Item | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _TOOL_CHOICES:
            raise invalid(f"Invalid value: '{choice[:_SHOWN_CHARS]}'.", "tool_choice")
        return choice
    kind = _type(choice)
    if kind == "allowed_tools":
        tools: object = choice.get("tools")
        allowed = [
            _named(cast("Item", tool))
            for tool in (cast("list[object]", tools) if isinstance(tools, list) else [])
            if isinstance(tool, Mapping) and _type(cast("Item", tool)) in _CALLABLE_TOOLS
        ]
        mode = choice.get("mode", "auto") if allowed else "auto"
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
    return _named(choice) if kind in _CALLABLE_TOOLS else None


def _named(choice: Item) -> Item:
    return {"type": _type(choice), _type(choice): {"name": choice.get("name")}}


def _to_response_format(operation: CreateResponse | CountResponseInputTokens) -> Item | None:
    text_format = (operation.text or {}).get("format")
    if not isinstance(text_format, Mapping):
        return None
    kind = _type(text_format)
    if kind != "json_schema":
        return {"type": kind}
    schema = {key: value for key, value in text_format.items() if key != "type"}
    return {"type": kind, "json_schema": schema}
