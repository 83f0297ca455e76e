"""Structured outputs: JSON schemas of classes, and responses parsed into their instances."""

import inspect
import re
from collections.abc import Hashable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from tunesmith.errors import InvalidRequestError, InvalidResponseError
from tunesmith.operations.chat_params import (
    ChatCompletionFunctionToolParam,
    FunctionDefinition,
    ResponseFormatJSONSchema,
)
from tunesmith.protocol.error_body import make_excerpt
from tunesmith.protocol.json import text_content, validate_leniently
from tunesmith.protocol.typed_dicts import convert_typed_dicts
from tunesmith.types.base import attach_response
from tunesmith.types.chat import ChatCompletion, ChatCompletionMessage, ParsedChatCompletion

__all__ = [
    "class_name",
    "json_schema_format",
    "parse_completion",
    "parse_message",
    "pydantic_function_tool",
]

M = TypeVar("M")
Schema = dict[str, Any]

_MAX_NAME_CHARS = 64


def json_schema_format(
    model: type[Any], *, param: str = "response_format"
) -> ResponseFormatJSONSchema:
    """Return a response format for a class.

    Args:
        model: A pydantic model, dataclass or TypedDict. All fields will be in the response, even
            those with a default; fields that may be missing must allow None.
        param: Parameter with the class, for errors.

    Raises:
        InvalidRequestError: The API's strict schemas cannot express the class.

    Source: https://platform.openai.com/docs/guides/structured-outputs

    Example:
        ```python
        from pydantic import BaseModel

        from tunesmith.protocol.structured import json_schema_format


        class Term(BaseModel):
            word: str
            meaning: str


        assert json_schema_format(Term)["json_schema"]["name"] == "Term"
        ```
    """
    schema = _strict_schema(model, param=param)
    return {
        "type": "json_schema",
        "json_schema": {"name": _schema_name(model), "strict": True, "schema": schema},
    }


def pydantic_function_tool(
    model: type[Any], *, name: str | None = None, description: str | None = None
) -> ChatCompletionFunctionToolParam:
    """Return a function tool whose arguments are the fields of a class.

    Args:
        model: A pydantic model, dataclass or TypedDict.
        name: Name of the function; by default the name of the class.
        description: Description for the model; by default the docstring of the class.

    Raises:
        InvalidRequestError: The API's strict schemas cannot express the class.

    Source: https://platform.openai.com/docs/guides/function-calling
    """
    parameters = _strict_schema(model, param="tools")
    function: FunctionDefinition = {
        "name": name or _schema_name(model),
        "strict": True,
        "parameters": parameters,
    }
    description = description or (model.__doc__ and inspect.cleandoc(model.__doc__))
    if description:
        function["description"] = description
    return {"type": "function", "function": function}


def parse_message(model: type[M], message: ChatCompletionMessage) -> M:
    """Parse the content of a message as an instance of a class.

    Args:
        model: The class.
        message: The message; its content is JSON.

    Raises:
        InvalidResponseError: The model refused, or the content is missing or does not fit.
    """
    if message.refusal:
        raise InvalidResponseError(
            f"The model refused to answer: {message.refusal}", excerpt=message.refusal
        )
    name = class_name(model)
    content = text_content(message.content)
    if content is None:
        raise InvalidResponseError(f"The message has no content to parse as {name}")
    try:
        return cast("M", _type_adapter(cast("Hashable", model)).validate_json(content))
    except ValidationError as error:
        problem = error.errors()[0]
        location = ".".join(str(part) for part in problem["loc"]) or "the content"
        raise InvalidResponseError(
            f"The message is not a valid {name}: {location}: {problem['msg']}",
            excerpt=make_excerpt(content.encode()),
        ) from None


def parse_completion(model: type[M], completion: ChatCompletion) -> ParsedChatCompletion[M]:
    """Parse all messages of a completion; refusals and tool calls are not parsed.

    Args:
        model: The class of the messages' content.
        completion: The completion.

    Raises:
        InvalidResponseError: A message was cut off or filtered, or its content does not fit.
    """
    fields = completion.model_dump(exclude_unset=True)
    parsed = cast("ParsedChatCompletion[M]", validate_leniently(ParsedChatCompletion, fields))
    for choice in parsed.choices:
        message = choice.message
        if choice.finish_reason in {"length", "content_filter"}:
            raise InvalidResponseError(
                f"The message is incomplete and cannot be parsed as {class_name(model)}: it ended "
                f"with {choice.finish_reason!r}",
                excerpt=make_excerpt((text_content(message.content) or "").encode()),
            )
        if message.content and not message.refusal and not message.tool_calls:
            message.parsed = parse_message(model, message)
    with suppress(AttributeError):  # not received, but created by the caller
        attach_response(parsed, completion.response)
    return parsed


def class_name(model: Any) -> str:
    """Return the name of a class for messages."""
    return str(getattr(model, "__name__", model))


def _schema_name(model: Any) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", class_name(model))[:_MAX_NAME_CHARS]


@cache
def _type_adapter(model: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(convert_typed_dicts(model))


def _strict_schema(model: type[Any], *, param: str) -> Schema:
    name = class_name(model)
    if isinstance(model, Mapping):
        raise InvalidRequestError(
            f"{param} must be a pydantic model, dataclass or TypedDict, not a dictionary: pass it "
            f"to create(…), or in params={{…}} of a batch job",
            param=param,
        )
    try:
        schema: Schema = _type_adapter(cast("Hashable", model)).json_schema()
    except (PydanticUserError, TypeError) as error:
        raise InvalidRequestError(
            f"{name} must be a pydantic model, dataclass or TypedDict: "
            f"{str(error).partition(chr(10))[0]}",
            param=param,
        ) from None
    definitions: Mapping[str, Schema] = schema.pop("$defs", {})
    if "$ref" in schema:
        # A recursive class; the outermost schema must be the object itself.
        schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    if schema.get("type") != "object":
        raise InvalidRequestError(
            f"{name} must be an object in JSON: make it a field of another class", param=param
        )
    strict: Schema = _strict(schema, name, param)
    if definitions:
        strict["$defs"] = {
            key: _strict(definition, key, param) for key, definition in definitions.items()
        }
    return strict


_TYPE_KEYWORDS = frozenset({"$ref", "anyOf", "const", "enum", "type"})


def _strict(schema: Any, place: str, param: str) -> Any:
    """Convert a schema for strict mode: every field is required, and no others are allowed."""
    original = cast("Schema", schema if isinstance(schema, dict) else {})
    strict: Schema = {
        key: value for key, value in original.items() if key not in {"default", "discriminator"}
    }
    for key in ("anyOf", "oneOf"):
        if key in strict:
            strict["anyOf"] = [_strict(branch, place, param) for branch in strict.pop(key)]
    if not strict.keys() & _TYPE_KEYWORDS:
        raise _inexpressible(
            f"{place} has no type", "annotate it with a type other than Any", param
        )
    if "prefixItems" in strict:
        raise _inexpressible(f"{place} is a tuple", "use a list or another class", param)
    if strict.get("type") == "array":
        strict["items"] = _strict(strict.get("items"), f"{place}[]", param)
    if "$ref" in strict and len(strict) > 1:
        # A reference must stand alone.
        strict["anyOf"] = [{"$ref": strict.pop("$ref")}]
    if strict.get("type") == "object":
        if "properties" not in strict:
            raise _inexpressible(
                f"{place} is a mapping", "use a list of objects with a key and a value", param
            )
        properties = cast("Schema", strict["properties"])
        strict["properties"] = {
            name: _strict(value, f"{place}.{name}", param) for name, value in properties.items()
        }
        strict["required"] = list(properties)
        strict["additionalProperties"] = False
    return strict


def _inexpressible(problem: str, fix: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{problem}, which strict schemas cannot express: {fix}", param=param
    )
