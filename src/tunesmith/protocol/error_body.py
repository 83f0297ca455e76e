"""Parsing of error responses, whatever their format."""

import html
import re
import time
from collections.abc import Mapping
from typing import Any, cast

from tunesmith.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InsufficientQuotaError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    StreamError,
    UnprocessableEntityError,
)
from tunesmith.protocol.json import join_surrogates, parse_json
from tunesmith.protocol.outcome import find_answer_error, find_reported_error
from tunesmith.protocol.retry import parse_retry_after
from tunesmith.types.response import ResponseInfo, request_id_of

__all__ = [
    "error_body",
    "find_error",
    "find_reason",
    "find_stream_error",
    "make_excerpt",
    "parse_error",
    "redact_keys",
]

_EXCERPT_CHARS = 500
_MESSAGE_CHARS = 2000
_READ_BYTES = 8192
"""Number of bytes of a body that are examined."""

_QUOTA = "insufficient_quota"

_REASONS = ("message", "error", "detail", "errors", "msg")
"""Fields in which servers explain an error."""


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: RequestTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}

_HINTS: Mapping[int, str] = {
    401: "check OPENAI_API_KEY or api_key=",
    404: "check base_url, which usually ends in /v1",
}
"""Fixes to suggest if the response has no message."""

_KEY = re.compile(
    r"""
    ( (?i:bearer)\s+(?!(?i:auth|token|scheme))
    | (?i:api[-_ ]?key(?:\ provided)?)["']?\s*[:=]\s*["']?
    )[\w.~+/*=-]{4,}                        # value after such a word
    | \b(?:sk|sess|rk)-[\w*-]{4,}           # prefix of OpenAI's keys
    | (?<![\w-])[\w-]+\*{3,}[\w*-]*         # key masked by the service except for its ends
    """,
    re.VERBOSE,
)
_REPORTED = re.compile(rb'"error"(?!\s*:\s*null\b)')
"""Sign of an error in a body; successes of the Responses API have one that is null."""

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def redact_keys(text: str) -> str:
    """Replace API keys in a text, since services quote the key that they reject."""
    return _KEY.sub(r"\1[key]", text)


def make_excerpt(body: bytes) -> str:
    """Return the beginning of a body as text without API keys."""
    return redact_keys(body[:_READ_BYTES].decode("utf-8", "replace"))[:_EXCERPT_CHARS]


def error_body(
    message: str, *, type: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return the JSON object of an error response.

    Args:
        message: The error message.
        type: The error type, such as `invalid_request_error`.
        param: The invalid parameter.
        code: The error code, such as `model_not_found`.
    """
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def parse_error(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> APIStatusError:
    """Return the exception for an error response.

    Args:
        status: The HTTP status.
        headers: The response headers, names in lower case.
        body: The body: JSON of OpenAI or another server, text, HTML, or empty.
        now: Current Unix time, for dates in `Retry-After`; the system clock if None.

    Example:
        ```python
        from tunesmith.protocol.error_body import parse_error

        error = parse_error(404, {}, b'{"error": {"message": "No such model"}}')
        assert str(error) == "No such model (status 404)"
        ```
    """
    details = _error_fields(body)
    # Some proxies forward only the type.
    quota = status == 429 and _QUOTA in {details.get("code"), details.get("type")}  # noqa: PLR2004
    kind = InsufficientQuotaError if quota else _BY_STATUS.get(status)
    if kind is None:
        kind = InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004
    return kind(
        _redirect_message(status, headers) or details.get("message") or _default_message(status),
        status=status,
        type=details.get("type"),
        code=_QUOTA if quota else details.get("code"),
        param=details.get("param"),
        headers=headers,
        body=_parsed_body(body, details),
        text=make_excerpt(body),
        retry_after=parse_retry_after(headers, time.time() if now is None else now),
        request_id=request_id_of(headers),
    )


def find_error(operation: str, response: ResponseInfo, body: bytes) -> APIStatusError | None:
    """Return the exception for an error reported with a status of success; None if there is none.

    Args:
        operation: The name of the operation.
        response: Metadata of the response.
        body: The body.
    """
    if not _REPORTED.search(body):  # spares successful responses from being parsed twice
        return None
    try:
        value = _unwrap(parse_json(body))
    except ValueError:
        return None
    problem = find_answer_error(operation, response.status, value)
    if problem is None or problem.code == "invalid_answer":
        return None
    error = parse_error(problem.status, response.headers, body)
    error.message = redact_keys(problem.message)
    error.args = (error.message,)
    error.operation, error.attempts = operation, response.attempts
    return error


def find_reason(body: bytes) -> str | None:
    """Return the service's words in a body of an unexpected shape; None if it has none.

    Args:
        body: The body, such as `{"detail": "no such model"}`.
    """
    try:
        value = parse_json(body)
    except ValueError:
        return None
    return _error_fields(body).get("message") if _has_reason(value) else None


def _has_reason(value: object) -> bool:
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return any(isinstance(fields.get(name), str | list) for name in _REASONS)


def find_stream_error(data: bytes, event: str) -> StreamError | None:
    """Return the exception for an error reported by a stream event; None if there is none.

    Args:
        data: The event's data.
        event: The event's name; empty if it has none.
    """
    is_named = event.lower() == "error"
    if not is_named and not _REPORTED.search(data):
        return None
    fields = _error_fields(data)
    message = fields.get("message")
    if not is_named:
        try:
            value = _unwrap(parse_json(data))
        except ValueError:
            return None
        is_object = isinstance(value, dict)
        reported = find_reported_error(cast("dict[str, Any]", value)) if is_object else None
        if reported is None:
            return None
        message = redact_keys(reported.message)
    return StreamError(
        message or "the service reported an error in the stream",
        type=fields.get("type"),
        code=fields.get("code"),
        param=fields.get("param"),
    )


def _redirect_message(status: int, headers: Mapping[str, str]) -> str | None:
    location = headers.get("location")
    if not location or not 300 <= status < 400:  # noqa: PLR2004
        return None
    # The query may contain a signature.
    place = redact_keys(location.partition("?")[0])[:_EXCERPT_CHARS]
    return f"the service redirects to {place!r}: check base_url"


def _default_message(status: int) -> str:
    hint = _HINTS.get(status)
    return f"the service gives no reason{f'; {hint}' if hint else ''}"


def _parsed_body(body: bytes, details: Mapping[str, str]) -> dict[str, str | None] | str:
    """Return what the official SDK calls the body: the error object, or text if it is not JSON."""
    if not body.lstrip().startswith((b"{", b"[")):
        return make_excerpt(body)
    return {name: details.get(name) for name in ("message", "type", "param", "code")}


def _error_fields(body: bytes) -> dict[str, str]:
    """Return message, type, code and param, without API keys and of bounded length."""
    try:
        value = parse_json(body)
    except ValueError:
        details = {"message": _text(body)}
    else:
        details = _read(value)
        if not details and isinstance(value, dict) and value and "error" not in value:
            details = {"message": make_excerpt(body)}
    return {
        name: redact_keys(join_surrogates(text[:_READ_BYTES]))[:_MESSAGE_CHARS]
        for name, text in details.items()
    }


def _unwrap(value: object) -> object:
    """Return the first item of a list, in which Gemini wraps errors; other values unchanged."""
    return value[0] if isinstance(value, list) and value else value  # pyright: ignore[reportUnknownVariableType]


def _read(value: object) -> dict[str, str]:
    value = _unwrap(value)
    if not isinstance(value, dict):
        return {"message": str(value)} if value else {}
    fields = cast("dict[str, Any]", value)
    for name in ("error", "detail"):
        if isinstance(fields.get(name), dict):
            return _read(fields[name])
    details = {
        name: str(fields[name]) for name in ("message", "type", "code", "param") if fields.get(name)
    }
    if "message" not in details:
        # Some servers write only text; FastAPI writes a list of locations and messages.
        detail = next((fields[name] for name in _REASONS if fields.get(name)), None)
        if detail:
            details["message"] = _join_messages(detail)
    return details


def _join_messages(detail: object) -> str:
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(_format_problem(problem) for problem in cast("list[object]", detail))


def _format_problem(problem: object) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    fields = cast("dict[str, Any]", problem)
    location = fields.get("loc")
    if isinstance(location, list):
        location = ".".join(str(part) for part in cast("list[object]", location))
    message = fields.get("msg") or fields.get("message") or ""
    return f"{location}: {message}" if location else str(message)


def _text(body: bytes) -> str:
    text = body[:_READ_BYTES].decode("utf-8", "replace").strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = html.unescape(title.group(1) if title else _TAG.sub(" ", text))
    return " ".join(text.split())[:_EXCERPT_CHARS]
