"""From the bytes of a response to an answer."""

from typing import TypeVar, cast

from pydantic import BaseModel, ValidationError

from tunesmith.errors import InvalidResponseError
from tunesmith.operations.base import Operation
from tunesmith.protocol.error_body import make_excerpt
from tunesmith.types.base import APIResponse, attach_response
from tunesmith.types.response import ResponseInfo

__all__ = ["decode_answer", "decode_event"]

A = TypeVar("A")
M = TypeVar("M", bound=BaseModel)


def decode_answer(operation: Operation[A], body: bytes, response: ResponseInfo) -> A:
    """Read the body of a good response as the operation's answer.

    Args:
        operation: What was asked.
        body: The whole body.
        response: The response it came in; the answer will know it.

    Raises:
        InvalidResponseError: The body is not such an answer.
    """
    spec = operation.spec
    if spec.response_type is bytes:
        return cast("A", body)
    try:
        answer: APIResponse = spec.response_type.model_validate_json(body)
    except ValidationError as error:
        raise InvalidResponseError(
            f"{spec.name}: the answer is not a {spec.response_type.__name__}: "
            f"{_first_problem(error)}",
            excerpt=make_excerpt(body),
            status=response.status,
            operation=spec.name,
            attempts=response.attempts,
            request_id=response.request_id,
        ) from None
    attach_response(answer, response)
    return cast("A", answer)


def decode_event(event_type: type[M], data: bytes, response: ResponseInfo, *, operation: str) -> M:
    """Read one event of a stream.

    Args:
        event_type: The type of the stream's events.
        data: The event's data.
        response: The response it came in.
        operation: The operation's name.

    Raises:
        InvalidResponseError: The data is not such an event.
    """
    try:
        return event_type.model_validate_json(data)
    except ValidationError as error:
        raise InvalidResponseError(
            f"{operation}: the stream holds what is no {event_type.__name__}: "
            f"{_first_problem(error)}",
            excerpt=make_excerpt(data),
            status=response.status,
            operation=operation,
            attempts=response.attempts,
            request_id=response.request_id,
        ) from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
