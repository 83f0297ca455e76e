"""Chat completions parsed into instances of a class."""

import inspect
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tunesmith.calls.caller import Caller
from tunesmith.errors import InvalidRequestError, InvalidResponseError
from tunesmith.operations.base import operation
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.protocol.structured import json_schema_format, parse_completion
from tunesmith.resources.base import Resource, build_operation, operation_signature
from tunesmith.types.chat import ParsedChatCompletion

__all__ = ["ParseMethod"]

M = TypeVar("M")

if TYPE_CHECKING:
    # To type checkers, `parse` is this class: calling it takes the parameters of the operation with
    # another `response_format`, and returns an awaitable of the matching type.
    @operation("chat.completions.create", "POST", "/chat/completions")
    class ParseMethod(CreateChatCompletion, Generic[M]):
        """Create a completion of a conversation and parse it; see `ChatCompletions.parse`."""

        response_format: type[M]  # type: ignore[assignment] # pyright: ignore[reportIncompatibleVariableOverride]

        def __await__(self) -> Generator[Any, Any, ParsedChatCompletion[M]]: ...

else:

    class ParseMethod:
        """Descriptor of the method `parse`."""

        def __get__(self, resource: Resource | None, owner: type) -> Any:
            return _BoundParse(resource.caller) if resource else self


class _BoundParse:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def __call__(self, *positional: type[M], **parameters: Any) -> ParsedChatCompletion[M]:
        """Create a completion of a conversation and parse it into `choices[0].message.parsed`.

        Args:
            positional: The class.
            parameters: Those of `create`; `response_format` is the class, if it is not passed
                first: a pydantic model, dataclass or TypedDict.

        Raises:
            InvalidRequestError: A parameter is invalid, or strict schemas cannot express the class.
            InvalidResponseError: A message does not fit.
        """
        if len(positional) + ("response_format" in parameters) != 1:
            raise InvalidRequestError(
                "chat.completions.parse: pass one class as response_format",
                operation="chat.completions.create",
                param="response_format",
            )
        (model,) = positional or (parameters["response_format"],)
        parameters["response_format"] = json_schema_format(model)
        request = build_operation(CreateChatCompletion, **parameters)
        completion = await self._caller.call(request)
        try:
            return parse_completion(model, completion)
        except InvalidResponseError as error:
            error.operation = request.spec.name
            error.attempts = completion.response.attempts
            error.request_id = completion.response.request_id
            raise

    @property
    def __signature__(self) -> inspect.Signature:
        signature = operation_signature(CreateChatCompletion)
        parameters = dict(signature.parameters)
        model = parameters.pop("response_format").replace(
            kind=inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty,
            annotation=type[Any],
        )
        return signature.replace(
            parameters=[model, *parameters.values()],
            return_annotation=ParsedChatCompletion[Any],
        )
