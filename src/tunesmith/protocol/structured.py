"""Answers as objects of one's own classes: their schema goes with the question."""

import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from tunesmith.errors import InvalidRequestError, InvalidResponseError
from tunesmith.operations.chat_params import (
    ChatCompletionFunctionToolParam,
    FunctionDefinition,
    ResponseFormatJSONSchema,
)
from tunesmith.protocol.error_body import make_excerpt
from tunesmith.types.base import attach_response
from tunesmith.types.chat import ChatCompletion, ChatCompletionMessage, ParsedChatCompletion

__all__ = ["json_schema_format", "parse_completion", "parse_message", "pydantic_function_tool"]

M = TypeVar("M", bound=BaseModel)
Schema = dict[str, Any]

_MAX_NAME_CHARS = 64


def json_schema_format(model: type[BaseModel]) -> ResponseFormatJSONSchema:
    """Ask for answers that fit a class.

    Args:
        model: The class. All its fields will be in the answer, defaults or not: a field that may
            be missing is one that may be None.

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
    return {
        "type": "json_schema",
        "json_schema": {
            "name": _name_of(model),
            "strict": True,
            "schema": _strict_schema(model, param="response_format"),
        },
    }


def pydantic_function_tool(
    model: type[BaseModel], *, name: str | None = None, description: str | None = None
) -> ChatCompletionFunctionToolParam:
    """Offer a function whose arguments fit a class.

    Args:
        model: The class of the arguments.
        name: The function's name; by default the class's.
        description: What it does, for the model; by default the class's docstring.

    Raises:
        InvalidRequestError: The API's strict schemas cannot express the class.

    Source: https://platform.openai.com/docs/guides/function-calling
    """
    function: FunctionDefinition = {
        "name": name or _name_of(model),
        "strict": True,
        "parameters": _strict_schema(model, param="tools"),
    }
    said = description or (model.__doc__ and inspect.cleandoc(model.__doc__))
    if said:
        function["description"] = said
    return {"type": "function", "function": function}


def parse_message(model: type[M], message: ChatCompletionMessage) -> M:
    """Read a message as an object.

    Args:
        model: The object's class.
        message: The message; its content is JSON.

    Raises:
        InvalidResponseError: The model refused, said nothing, or its JSON does not fit.
    """
    if message.refusal:
        raise InvalidResponseError(
            f"The model refused to answer: {message.refusal}", excerpt=message.refusal
        )
    if message.content is None:
        raise InvalidResponseError(f"The message has no content to read as {model.__name__}")
    try:
        return model.model_validate_json(message.content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the content"
        raise InvalidResponseError(
            f"The message is no {model.__name__}: {where}: {problem['msg']}",
            excerpt=make_excerpt(message.content.encode()),
        ) from None


def parse_completion(model: type[M], completion: ChatCompletion) -> ParsedChatCompletion[M]:
    """Read all answers as objects; refusals and tool calls are left unread.

    Args:
        model: The objects' class.
        completion: The answers as they came.

    Raises:
        InvalidResponseError: An answer was cut off or filtered, or its JSON does not fit.
    """
    fields = completion.model_dump(exclude_unset=True)
    parsed = cast("ParsedChatCompletion[M]", ParsedChatCompletion.model_validate(fields))
    for choice in parsed.choices:
        if choice.finish_reason in {"length", "content_filter"}:
            raise InvalidResponseError(
                f"The answer is not whole, so it cannot be read as {model.__name__}: it ended by "
                f"{choice.finish_reason!r}",
                excerpt=make_excerpt((choice.message.content or "").encode()),
            )
        if choice.message.content and not choice.message.refusal and not choice.message.tool_calls:
            choice.message.parsed = parse_message(model, choice.message)
    with suppress(AttributeError):  # one made by hand came in no response
        attach_response(parsed, completion.response)
    return parsed


def _name_of(model: type[BaseModel]) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", model.__name__)[:_MAX_NAME_CHARS]


def _strict_schema(model: type[BaseModel], *, param: str) -> Schema:
    schema = model.model_json_schema()
    definitions: Mapping[str, Schema] = schema.pop("$defs", {})
    if "$ref" in schema:
        # A class that contains itself; the outermost schema must be the object.
        schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    if schema.get("type") != "object":
        raise InvalidRequestError(
            f"{model.__name__} is no object in JSON: put it into a field of another class",
            param=param,
        )
    strict: Schema = _strict(schema, model.__name__, param)
    if definitions:
        strict["$defs"] = {
            name: _strict(definition, name, param) for name, definition in definitions.items()
        }
    return strict


def _strict(schema: Any, place: str, param: str) -> Any:
    """Copy a schema as the strict mode wants it: every field required, none besides."""
    if not isinstance(schema, dict):
        return schema
    given = cast("Schema", schema)
    strict: Schema = {
        key: value for key, value in given.items() if key not in {"default", "discriminator"}
    }
    for key in ("anyOf", "oneOf", "allOf"):
        if key in strict:
            branches = [_strict(branch, place, param) for branch in strict.pop(key)]
            strict["allOf" if key == "allOf" else "anyOf"] = branches
    if "items" in strict:
        strict["items"] = _strict(strict["items"], place, param)
    if "$ref" in strict and len(strict) > 1:
        # A reference must stand alone.
        strict["anyOf"] = [{"$ref": strict.pop("$ref")}]
    if strict.get("type") == "object":
        properties = cast("Schema", strict.get("properties", {}))
        if not properties and strict.get("additionalProperties", False) is not False:
            raise InvalidRequestError(
                f"{place} is a mapping with free keys, which strict schemas cannot express: use a "
                "list of objects with a key and a value",
                param=param,
            )
        strict["properties"] = {
            name: _strict(each, f"{place}.{name}", param) for name, each in properties.items()
        }
        strict["required"] = list(properties)
        strict["additionalProperties"] = False
    return strict
