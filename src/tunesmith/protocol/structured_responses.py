"""Structured output of the Responses API."""

from contextlib import suppress
from typing import Any, TypeVar, cast

from tunesmith.errors import InvalidResponseError
from tunesmith.protocol.error_body import make_excerpt
from tunesmith.protocol.json import validate_leniently
from tunesmith.protocol.structured import class_name, json_schema_format, parse_message
from tunesmith.types.base import attach_response
from tunesmith.types.chat import ChatCompletionMessage
from tunesmith.types.responses import (
    ParsedResponse,
    Response,
    ResponseOutputMessage,
    ResponseOutputRefusal,
)

__all__ = ["parse_output", "parse_response", "text_format_of"]

M = TypeVar("M")


def text_format_of(model: type[Any]) -> dict[str, Any]:
    """Return the format of texts that fit a class.

    Args:
        model: The class.

    Raises:
        InvalidRequestError: Strict schemas cannot express the class.
    """
    return {"type": "json_schema", **json_schema_format(model, param="text_format")["json_schema"]}


def parse_response(model: type[M], response: Response) -> ParsedResponse[M]:
    """Parse the text of a response into a class; a response with only tool calls has none.

    Args:
        model: The class.
        response: The response.

    Raises:
        InvalidResponseError: The response is incomplete or a refusal, or does not fit the class.
    """
    output = parse_output(model, response)
    fields = response.model_dump(exclude_unset=True)
    parsed = cast("ParsedResponse[M]", validate_leniently(ParsedResponse, fields))
    parsed.output_parsed = output
    with suppress(AttributeError):  # not received, but constructed
        attach_response(parsed, response.response)
    return parsed


def parse_output(model: type[M], response: Response) -> M | None:
    """Return the text of a response as an instance of a class; None without text.

    Args:
        model: The class.
        response: The response.

    Raises:
        InvalidResponseError: The response is incomplete or a refusal, or does not fit the class.
    """
    if response.status not in {None, "completed"}:
        raise InvalidResponseError(
            f"The response is {response.status}, so it cannot be parsed as {class_name(model)}",
            excerpt=make_excerpt(response.output_text.encode()),
        )
    refusals = [
        part.refusal
        for item in response.output
        if isinstance(item, ResponseOutputMessage)
        for part in item.content
        if isinstance(part, ResponseOutputRefusal)
    ]
    if not refusals and not response.output_text:
        return None
    message = ChatCompletionMessage(
        content=response.output_text or None,
        refusal="".join(refusals) or None,
    )
    return parse_message(model, message)
