"""Decoding of responses and stream events."""

from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from tunesmith.errors import InvalidResponseError
from tunesmith.operations.base import Operation
from tunesmith.protocol.error_body import find_reason, make_excerpt
from tunesmith.protocol.json import validate_json
from tunesmith.protocol.sse import SSEDecoder
from tunesmith.types.base import attach_response
from tunesmith.types.response import ResponseInfo

__all__ = ["begins_like_document", "decode_event", "decode_response", "decoding_error"]

A = TypeVar("A")
M = TypeVar("M", bound=BaseModel)


def decode_response(operation: Operation[A], body: bytes, response: ResponseInfo) -> A:
    """Decode the body of a successful response.

    Args:
        operation: The operation.
        body: The whole body.
        response: Metadata of the response, attached to the result.

    Raises:
        InvalidResponseError: The body does not have the operation's response type.
    """
    spec = operation.spec
    if spec.response_type is bytes:
        return cast("A", body)
    is_labelled = response.headers.get("content-type", "").startswith("text/event-stream")
    if is_labelled and not begins_like_document(body):
        body = _join_events(body)
    decoded = _decode(spec.response_type, body, response, spec.name, "the response")
    attach_response(decoded, response)
    return cast("A", decoded)


def decoding_error(
    operation: Operation[Any], body: bytes, response: ResponseInfo
) -> InvalidResponseError:
    """Return the error for a body that cannot be decoded, without a traceback.

    Args:
        operation: The operation.
        body: The body, from which echoed headers of the request were removed.
        response: Metadata of the response.
    """
    try:
        decode_response(operation, body, response)
    except InvalidResponseError as error:
        return error.with_traceback(None)
    return InvalidResponseError(
        f"{operation.spec.name}: the response echoes a header of the request",
        operation=operation.spec.name,
        attempts=response.attempts,
        request_id=response.request_id,
    )


def begins_like_document(body: bytes) -> bool:
    """Return whether a body begins like a JSON object or a page, whatever its label."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"<"))


def _join_events(body: bytes) -> bytes:
    """Convert a list that a server streams although it was not asked to."""
    decoder = SSEDecoder()
    events = decoder.feed(body) + decoder.finish()
    items = [event.data for event in events if event.data not in {b"", b"[DONE]"}]
    return b'{"data":[' + b",".join(items) + b"]}"


def decode_event(event_type: type[M], data: bytes, response: ResponseInfo, *, operation: str) -> M:
    """Decode an event of a stream.

    Args:
        event_type: The type of the stream's events.
        data: The event's data.
        response: Metadata of the response.
        operation: The name of the operation.

    Raises:
        InvalidResponseError: The data does not have the event type.
    """
    subject = "an event of the stream"
    return _decode(event_type, data, response, operation, subject, keep_surrogates=True)


def _decode(
    kind: type[M],
    data: bytes,
    response: ResponseInfo,
    operation: str,
    subject: str,
    *,
    keep_surrogates: bool = False,
) -> M:
    try:
        return validate_json(kind, data, keep_surrogates=keep_surrogates)
    except ValidationError as error:
        problem = error.errors()[0]
        reason = ": ".join([*map(str, problem["loc"]), problem["msg"]])
        if words := find_reason(data):
            reason += f"; the service responds: {words}"
        raise InvalidResponseError(
            f"{operation}: {subject} is not a {kind.__name__}: {reason}",
            excerpt=make_excerpt(data),
            status=response.status,
            operation=operation,
            attempts=response.attempts,
            request_id=response.request_id,
        ) from None
