"""Responses of models."""

from functools import cached_property
from typing import TYPE_CHECKING

from tunesmith.operations.responses import (
    CancelResponse,
    CountResponseInputTokens,
    CreateResponse,
    DeleteResponse,
    ListResponseInputItems,
    RetrieveResponse,
)
from tunesmith.resources.base import Resource, operation_method, paged, streamed
from tunesmith.resources.parse import ParseResponses

__all__ = ["ResponseInputItems", "ResponseTokenCounts", "Responses"]


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
    if TYPE_CHECKING:  # see ParseResponses
        parse = ParseResponses
        """Create a response and parse it; returns a `ParsedResponse`.

        Takes the parameters of `create`, with a pydantic model, dataclass or TypedDict as
        `text_format`.
        """
    else:
        parse = ParseResponses()

    @cached_property
    def input_items(self) -> ResponseInputItems:
        """Input items of stored responses."""
        return ResponseInputItems(self.caller)

    @cached_property
    def input_tokens(self) -> ResponseTokenCounts:
        """Token counts of inputs."""
        return ResponseTokenCounts(self.caller)
