"""Chat completions that are read as objects of one's own classes."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from pydantic import BaseModel

from tunesmith.calls.caller import Caller
from tunesmith.errors import InvalidResponseError
from tunesmith.operations.base import Operation
from tunesmith.protocol.structured import json_schema_format, parse_completion
from tunesmith.resources.base import Resource, build_operation
from tunesmith.types.chat import ChatCompletion, ParsedChatCompletion

__all__ = ["ParseMethod"]

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)


class ParseMethod(Generic[P]):
    """A method that asks for an answer that fits a class, and reads it.

    Args:
        operation: The question; its `response_format` is filled in.
    """

    def __init__(self, operation: Callable[P, Operation[ChatCompletion]]) -> None:
        self._operation = operation

    def __get__(self, resource: Resource, owner: type) -> "_BoundParse[P]":
        return _BoundParse(resource.caller, self._operation)


class _BoundParse(Generic[P]):
    def __init__(self, caller: Caller, operation: Callable[P, Operation[ChatCompletion]]) -> None:
        self._caller = caller
        self._operation = operation

    @overload
    async def __call__(
        self, response_format: type[M], /, *args: P.args, **kwargs: P.kwargs
    ) -> ParsedChatCompletion[M]: ...

    # As the official SDK has it. Type checkers cannot take one keyword out of an operation's, so
    # the others are checked only when it is called.
    @overload
    async def __call__(
        self, *, response_format: type[M], **parameters: Any
    ) -> ParsedChatCompletion[M]: ...

    # mypy takes `self` for one of the operation's parameters.
    async def __call__(self, *args: Any, **parameters: Any) -> Any:  # type: ignore[misc]
        """Ask for an answer that fits a class, and read it into `choices[0].message.parsed`.

        Args:
            args: The class.
            parameters: Those of `create`; `response_format` is the class, if it is not given first.

        Raises:
            InvalidRequestError: A parameter is wrong, or strict schemas cannot express the class.
            InvalidResponseError: An answer does not fit.
        """
        model = args[0] if args else parameters.pop("response_format")
        parameters["response_format"] = json_schema_format(model)
        operation: Any = self._operation
        completion = await self._caller.call(build_operation(operation, **parameters))
        try:
            return parse_completion(model, completion)
        except InvalidResponseError as error:
            error.operation = operation.spec.name
            error.attempts = completion.response.attempts
            error.request_id = completion.response.request_id
            raise
