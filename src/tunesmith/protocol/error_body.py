"""From the body of an error answer to the error, however the server puts it."""

import html
import re
import time
from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import from_json

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
from tunesmith.protocol.retry_after import parse_retry_after_s
from tunesmith.types.response import request_id_of

__all__ = [
    "error_body",
    "is_error_event",
    "make_excerpt",
    "parse_error",
    "parse_stream_error",
    "redact_keys",
]

_EXCERPT_CHARS = 500
_MESSAGE_CHARS = 2000
_READ_BYTES = 8192
"""How much of a text is looked at; whoever is wrong at length is wrong at the beginning."""

_QUOTA = "insufficient_quota"


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
"""What to do, where the server says nothing at all."""

_KEY = re.compile(
    r"""
    ( (?i:bearer)\s+(?!(?i:auth|token|scheme))
    | (?i:api[-_ ]?key(?:\ provided)?)["']?\s*[:=]\s*["']?
    )[\w.~+/*=-]{4,}                        # what follows such words
    | \b(?:sk|sess|rk)-[\w*-]{4,}           # what begins as OpenAI's keys do
    | (?<![\w-])[\w-]+\*{3,}[\w*-]*         # what the service masked itself, but for its ends
    """,
    re.VERBOSE,
)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def redact_keys(text: str) -> str:
    """Take out what looks like a key: services quote the key they refuse."""
    return _KEY.sub(r"\1[key]", text)


def make_excerpt(body: bytes) -> str:
    """Give the beginning of a body as text, without keys."""
    return redact_keys(body[:_READ_BYTES].decode("utf-8", "replace"))[:_EXCERPT_CHARS]


def error_body(
    message: str, *, type: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Write an error as the API does.

    Args:
        message: What went wrong.
        type: The API's class of error.
        param: The parameter that is to blame.
        code: The API's code of the error.
    """
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def parse_error(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> APIStatusError:
    """Make the error that an answer stands for.

    Args:
        status: The answer's status.
        headers: Its headers, names in lower case.
        body: Its body: OpenAI's JSON, another server's, text, HTML, or nothing.
        now: The time in Unix seconds, for dates in `Retry-After`; the system's if None.

    Example:
        ```python
        from tunesmith.protocol.error_body import parse_error

        error = parse_error(404, {}, b'{"error": {"message": "No such model"}}')
        assert str(error) == "No such model (status 404)"
        ```
    """
    facts = _error_fields(body)
    # Some proxies pass on the type alone.
    quota = status == 429 and _QUOTA in {facts.get("code"), facts.get("type")}  # noqa: PLR2004
    kind = InsufficientQuotaError if quota else _BY_STATUS.get(status)
    if kind is None:
        kind = InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004
    return kind(
        _redirect_message(status, headers) or facts.get("message") or _default_message(status),
        status=status,
        type=facts.get("type"),
        code=_QUOTA if quota else facts.get("code"),
        param=facts.get("param"),
        headers=headers,
        body=make_excerpt(body),
        retry_after=parse_retry_after_s(headers, time.time() if now is None else now),
        request_id=request_id_of(headers),
    )


def is_error_event(data: bytes) -> bool:
    """Whether an event's data is an error."""
    try:
        value = from_json(data)
    except ValueError:
        return False
    return isinstance(value, dict) and bool(cast("dict[str, Any]", value).get("error"))


def parse_stream_error(data: bytes) -> StreamError:
    """Make the error that an event inside a stream stands for.

    Args:
        data: The event's data.
    """
    facts = _error_fields(data)
    return StreamError(
        facts.get("message") or "the service reported an error in the stream",
        type=facts.get("type"),
        code=facts.get("code"),
        param=facts.get("param"),
    )


def _redirect_message(status: int, headers: Mapping[str, str]) -> str | None:
    location = headers.get("location")
    if not location or not 300 <= status < 400:  # noqa: PLR2004
        return None
    # What follows the path may be a signature.
    place = redact_keys(location.partition("?")[0])[:_EXCERPT_CHARS]
    return f"the service redirects to {place!r}: check base_url"


def _default_message(status: int) -> str:
    hint = _HINTS.get(status)
    return f"the service gives no reason{f'; {hint}' if hint else ''}"


def _error_fields(body: bytes) -> dict[str, str]:
    """Find message, type, code and param, each without keys and of bounded length."""
    try:
        value = from_json(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        facts = {"message": _text(body)}
    else:
        facts = _read(value)
        if not facts and isinstance(value, dict) and value and "error" not in value:
            facts = {"message": make_excerpt(body)}
    return {name: redact_keys(text[:_READ_BYTES])[:_MESSAGE_CHARS] for name, text in facts.items()}


def _read(value: object) -> dict[str, str]:
    if isinstance(value, list):
        items = cast("list[object]", value)
        value = items[0] if len(items) == 1 else items  # Gemini wraps its errors in a list
    if not isinstance(value, dict):
        return {"message": str(value)} if value else {}
    fields = cast("dict[str, Any]", value)
    for name in ("error", "detail"):
        if isinstance(fields.get(name), dict):
            return _read(fields[name])
    facts = {
        name: str(fields[name]) for name in ("message", "type", "code", "param") if fields.get(name)
    }
    if "message" not in facts:
        # Some servers put the text itself there; FastAPI writes a list of places and messages.
        said = fields.get("error") or fields.get("detail") or fields.get("errors")
        if said:
            facts["message"] = _join_messages(said)
    return facts


def _join_messages(said: object) -> str:
    if not isinstance(said, list):
        return str(said)
    return "; ".join(_place_and_message(problem) for problem in cast("list[object]", said))


def _place_and_message(problem: object) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    facts = cast("dict[str, Any]", problem)
    place = facts.get("loc")
    if isinstance(place, list):
        place = ".".join(str(part) for part in cast("list[object]", place))
    message = facts.get("msg") or facts.get("message") or ""
    return f"{place}: {message}" if place else str(message)


def _text(body: bytes) -> str:
    text = body[:_READ_BYTES].decode("utf-8", "replace").strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = html.unescape(title.group(1) if title else _TAG.sub(" ", text))
    return " ".join(text.split())[:_EXCERPT_CHARS]
