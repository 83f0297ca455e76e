"""Decision whether a response is a success: by its status, an `error` in it, and its shape.

Gateways send error objects with the status 200, and result files of batches contain rows with the
status 0. Client, streams and batch jobs decide by this module alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

__all__ = ["AnswerError", "find_answer_error", "find_reported_error"]

_SHAPES: Mapping[str, str] = {
    "completions.create": "choices",
    "chat.completions.create": "choices",
    "embeddings.create": "data",
    "responses.create": "output",
}
"""Required list in the response of an operation."""

_SERVER_ERROR = 500
_STATUSES = {str(status): status for status in range(400, 600)}
_CODES: Mapping[str, int] = {
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "invalid_request_error": 400,
    "server_error": 500,
}
_NO_REASON = "the service gives no reason"


@dataclass(frozen=True, slots=True)
class AnswerError:
    """Reason why a response is not a success.

    Args:
        code: The service's code, or `invalid_answer`, or `status_…`.
        message: The service's message, or the problem of the response.
        status: The corresponding HTTP status, of which 429 and 5xx are transient.
    """

    code: str
    message: str
    status: int


def find_answer_error(operation: str, status: int, body: object) -> AnswerError | None:
    """Return the reason why a response is not a success; None if it is one.

    Args:
        operation: Name of the operation, such as `completions.create`.
        status: The HTTP status of the response.
        body: The parsed JSON of the response; None if it could not be parsed.

    Example:
        ```python
        from tunesmith.protocol.outcome import find_answer_error

        body = {"error": {"code": 429, "message": "Rate limit exceeded upstream"}}
        error = find_answer_error("chat.completions.create", 200, body)
        assert error is not None and error.status == 429
        ```
    """
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else None
    is_good = 200 <= status < 300  # noqa: PLR2004
    # Jobs and batches are objects with an ID whose own fields describe their failure.
    is_object = is_good and operation not in _SHAPES and bool(fields and fields.get("id"))
    reported = find_reported_error(fields) if fields and not is_object else None
    if reported is not None:
        return reported if is_good or not status else replace(reported, status=status)
    if not is_good:
        # Result files hold rows with the status 0 for requests that never reached the model.
        detail = _text(fields.get("detail") or fields.get("message")) if fields else ""
        return AnswerError(f"status_{status}", detail or _NO_REASON, status or _SERVER_ERROR)
    if fields is None:
        message = "the answer is not JSON" if body is None else "the answer is not a JSON object"
        return AnswerError("invalid_answer", message, _SERVER_ERROR)
    return _shape_error(operation, fields)


def find_reported_error(fields: Mapping[str, Any]) -> AnswerError | None:
    """Return the error that a response or an event of a stream reports, whatever else it holds.

    Args:
        fields: The JSON object.
    """
    if fields.get("error"):
        return _read_error(fields["error"])
    if fields.get("object") == "error":  # as vLLM and FastChat
        return _read_error(fields)
    if fields.get("status") == "failed":
        return AnswerError("failed", _NO_REASON, _SERVER_ERROR)
    choices = fields.get("choices")
    for choice in cast("list[object]", choices) if isinstance(choices, list) else []:
        if isinstance(choice, dict):
            parts = cast("dict[str, Any]", choice)
            if parts.get("error"):
                return _read_error(parts["error"])
            if parts.get("finish_reason") == "error":
                return AnswerError("error", "the model ended with an error", _SERVER_ERROR)
    return None


def _read_error(error: object) -> AnswerError:
    if not isinstance(error, dict):
        return AnswerError("error", _text(error), _SERVER_ERROR)
    fields = cast("dict[str, Any]", error)
    code = fields.get("code") or fields.get("type") or ""
    status = _CODES.get(str(code), _CODES.get(str(fields.get("type")), _SERVER_ERROR))
    for candidate in (fields.get("code"), fields.get("status")):
        status = _STATUSES.get(str(candidate), status)
    message = _text(fields.get("message")) or _NO_REASON
    return AnswerError(str(code) or f"status_{status}", message, status)


def _shape_error(operation: str, fields: dict[str, Any]) -> AnswerError | None:
    name = _SHAPES.get(operation)
    if name is None:
        empty = AnswerError("invalid_answer", "the answer is empty", _SERVER_ERROR)
        return None if fields else empty
    items = fields.get(name)
    if isinstance(items, list) and (name != "choices" or any(isinstance(c, dict) for c in items)):  # pyright: ignore[reportUnknownVariableType]
        return None
    detail = _text(fields.get("detail") or fields.get("message"))
    message = detail or f"the answer has no {name}"
    return AnswerError("invalid_answer", message, _SERVER_ERROR)


def _text(value: object) -> str:
    return "" if value is None else str(value)[:2000]
