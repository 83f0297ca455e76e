"""Completions and responses parsed into instances of a class."""

import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from tunesmith._lazy import explain_parameter
from tunesmith.calls.caller import Caller
from tunesmith.errors import InvalidRequestError, InvalidResponseError
from tunesmith.operations.base import Operation, operation
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.responses import CreateResponse
from tunesmith.protocol.structured import json_schema_format, parse_completion
from tunesmith.protocol.structured_responses import parse_response, text_format_of
from tunesmith.resources.base import Call, Resource, build_operation, operation_signature
from tunesmith.types.chat import ParsedChatCompletion
from tunesmith.types.responses import ParsedResponse

__all__ = ["ParseCompletions", "ParseResponses"]

M = TypeVar("M")


class _Parse:
    """Descriptor of a method `parse`."""

    operation: ClassVar[Callable[..., Operation[Any]]]
    name: ClassVar[str]
    param: ClassVar[str]
    result: ClassVar[Any]
    to_parameters: ClassVar[Callable[[type[Any], dict[str, Any]], dict[str, Any]]]
    to_result: ClassVar[Callable[[type[Any], Any], Any]]

    def __get__(self, resource: Resource | None, owner: type) -> Any:
        return _BoundParse(self, resource.caller) if resource else self

    @property
    def documentation(self) -> str:
        """Docstring of the method."""
        return f"""Create and parse the output of a model; see `{self.name}`.

        Args:
            {self.param}: The class: a pydantic model, dataclass or TypedDict.

        Raises:
            InvalidRequestError: A parameter is invalid, or strict schemas cannot express the class.
            InvalidResponseError: The output is incomplete, or does not fit the class.
        """

    @property
    def __signature__(self) -> inspect.Signature:
        signature = operation_signature(self.operation)
        parameters = dict(signature.parameters)
        parameters.pop(self.param, None)
        model = inspect.Parameter(
            self.param, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=type[Any]
        )
        return signature.replace(
            parameters=[model, *parameters.values()], return_annotation=self.result
        )


class _BoundParse:
    def __init__(self, method: _Parse, caller: Caller) -> None:
        self._method = method
        self._caller = caller

    def __call__(self, *positional: type[Any], **parameters: Any) -> Coroutine[Any, Any, Any]:
        method = self._method.name.replace("create", "parse")
        return Call(self._parse(*positional, **parameters), method)

    async def _parse(self, *positional: type[Any], **parameters: Any) -> Any:
        method = self._method
        signature = self.__signature__.parameters
        for name in parameters.keys() - signature.keys() - {"stream"}:
            path = method.name.replace("create", "parse")
            hint = explain_parameter(name, (path, method.name, "parameter"), signature)
            raise InvalidRequestError(
                f"{path}: {name}: unknown parameter{hint or ''}", operation=method.name, param=name
            )
        if len(positional) + (method.param in parameters) != 1:
            raise InvalidRequestError(
                f"{method.name.replace('create', 'parse')}: pass one class as {method.param}",
                operation=method.name,
                param=method.param,
            )
        (model,) = positional or (parameters.pop(method.param),)
        try:
            parameters = type(method).to_parameters(model, parameters)
        except InvalidRequestError as error:
            error.operation, error.param = method.name, method.param
            raise
        received = await self._caller.call(build_operation(method.operation, **parameters))
        try:
            return type(method).to_result(model, received)
        except InvalidResponseError as error:
            error.operation = method.name
            error.attempts = received.response.attempts
            error.request_id = received.response.request_id
            raise

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return self._method.documentation

    @property
    def __signature__(self) -> inspect.Signature:
        return self._method.__signature__


def _completion_parameters(model: type[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    return {**parameters, "response_format": json_schema_format(model)}


def _response_parameters(model: type[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = {**(parameters.get("text") or {}), "format": text_format_of(model)}
    return {**parameters, "text": text}


if TYPE_CHECKING:
    # To type checkers, `parse` is one of these classes: calling it takes the parameters of the
    # operation with a class among them, and returns an awaitable of the matching type.
    @operation("chat.completions.create", "POST", "/chat/completions")
    class ParseCompletions(CreateChatCompletion, Generic[M]):
        """Create a completion of a conversation and parse it; see `ChatCompletions.parse`."""

        response_format: type[M]  # type: ignore[assignment] # pyright: ignore[reportIncompatibleVariableOverride]

        def __await__(self) -> Generator[Any, Any, ParsedChatCompletion[M]]: ...

    @operation("responses.create", "POST", "/responses")
    class ParseResponses(CreateResponse, Generic[M]):
        """Create a response and parse it; see `Responses.parse`."""

        text_format: type[M]

        def __await__(self) -> Generator[Any, Any, ParsedResponse[M]]: ...

else:

    class ParseCompletions(_Parse):
        """Descriptor of `chat.completions.parse`."""

        operation = CreateChatCompletion
        name = CreateChatCompletion.spec.name
        param = "response_format"
        result = ParsedChatCompletion[Any]
        to_parameters = staticmethod(_completion_parameters)
        to_result = staticmethod(parse_completion)

    class ParseResponses(_Parse):
        """Descriptor of `responses.parse`."""

        operation = CreateResponse
        name = CreateResponse.spec.name
        param = "text_format"
        result = ParsedResponse[Any]
        to_parameters = staticmethod(_response_parameters)
        to_result = staticmethod(parse_response)
