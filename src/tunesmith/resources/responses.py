"""Responses of models."""

from functools import cached_property
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from tunesmith.operations.responses import (
    CancelResponse,
    CountResponseInputTokens,
    CreateResponse,
    DeleteResponse,
    ListResponseInputItems,
    RetrieveResponse,
)
from tunesmith.protocol.structured_responses import parse_response, text_format_of
from tunesmith.resources.base import Resource, build_operation, operation_method, paged, streamed
from tunesmith.types.responses import ParsedResponse, Response

__all__ = ["ResponseInputItems", "ResponseTokenCounts", "Responses"]

M = TypeVar("M", bound=BaseModel)


class ResponseInputItems(Resource):
    """Input items of stored responses."""

    list = paged(ListResponseInputItems)


class ResponseTokenCounts(Resource):
    """Token counts of inputs."""

    count = operation_method(CountResponseInputTokens)


class Responses(Resource):
    """Responses of models.

    Example:
        ```python
        response = await client.responses.create(model="gpt-4o-mini", input="Who was Kant?")
        print(response.output_text)
        async with client.responses.stream(model="gpt-4o-mini", input="And Hume?") as stream:
            async for event in stream:
                if event.type == "response.output_text.delta":
                    print(event.delta, end="")
        ```
    """

    create = operation_method(CreateResponse)
    stream = streamed(CreateResponse)
    retrieve = operation_method(RetrieveResponse)
    follow = streamed(RetrieveResponse)
    cancel = operation_method(CancelResponse)
    delete = operation_method(DeleteResponse)

    async def parse(self, text_format: type[M], **parameters: Any) -> ParsedResponse[M]:
        """Create a response that fits a class, and parse it into `output_parsed`.

        Args:
            text_format: The class.
            parameters: Parameters of `create`.

        Raises:
            InvalidRequestError: A parameter is wrong, or strict schemas cannot express the class.
            InvalidResponseError: The response is incomplete, or does not fit the class.
        """
        text: dict[str, Any] = {**(parameters.pop("text", None) or {})}
        text["format"] = text_format_of(text_format)
        operation: Any = CreateResponse
        response = await self.caller.call(build_operation(operation, **parameters, text=text))
        return parse_response(text_format, cast("Response", response))

    @cached_property
    def input_items(self) -> ResponseInputItems:
        """Input items of stored responses."""
        return ResponseInputItems(self.caller)

    @cached_property
    def input_tokens(self) -> ResponseTokenCounts:
        """Token counts of inputs."""
        return ResponseTokenCounts(self.caller)
