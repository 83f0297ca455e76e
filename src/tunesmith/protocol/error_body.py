"""From the body of an error answer to the error, however the server puts it."""

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

__all__ = ["excerpt_of", "parse_error", "parse_stream_error", "redacted"]

_EXCERPT_CHARS = 500

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

_KEY = re.compile(r"\b(?:sk|sess|rk)-[\w*-]{4,}|(?i:bearer)\s+[\w.~+/*=-]{4,}")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def redacted(text: str) -> str:
    """Take out what looks like a key: services quote the key they refuse."""
    return _KEY.sub("[key]", text)


def excerpt_of(body: bytes) -> str:
    """Give the beginning of a body as text, without keys."""
    return redacted(body[: _EXCERPT_CHARS * 4].decode("utf-8", "replace"))[:_EXCERPT_CHARS]


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """Make the error that an answer stands for.

    Args:
        status: The answer's status.
        headers: Its headers, names in lower case.
        body: Its body: OpenAI's JSON, another server's, text, HTML, or nothing.
    """
    facts = _facts(body)
    quota = status == 429 and facts.get("code") == "insufficient_quota"  # noqa: PLR2004
    kind = InsufficientQuotaError if quota else _BY_STATUS.get(status)
    if kind is None:
        kind = InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004
    message = facts.get("message") or _silent(status, headers)
    return kind(
        redacted(message),
        status=status,
        type=facts.get("type"),
        code=facts.get("code"),
        param=facts.get("param"),
        headers=headers,
        body=excerpt_of(body),
        retry_after_s=parse_retry_after_s(headers, time.time()),
        request_id=headers.get("x-request-id"),
    )


def parse_stream_error(data: bytes) -> StreamError:
    """Make the error that an event inside a stream stands for.

    Args:
        data: The event's data.
    """
    facts = _facts(data)
    return StreamError(
        redacted(facts.get("message") or "the service reported an error in the stream"),
        type=facts.get("type"),
        code=facts.get("code"),
        param=facts.get("param"),
    )


def _silent(status: int, headers: Mapping[str, str]) -> str:
    if location := headers.get("location"):
        return f"the service is somewhere else: use base_url={location!r}"
    hint = _HINTS.get(status)
    return f"the service gives no reason{f'; {hint}' if hint else ''}"


def _facts(body: bytes) -> dict[str, str]:
    try:
        value = from_json(body)
    except ValueError:
        return {"message": _text(body.decode("utf-8", "replace"))}
    if not isinstance(value, dict):
        return {"message": str(value)[:_EXCERPT_CHARS]} if value else {}
    fields = cast("dict[str, Any]", value)
    inner = fields.get("error", fields)
    if not isinstance(inner, dict):
        # Some servers put the text itself in `error`.
        return {"message": str(inner)} if inner else {}
    found = cast("dict[str, Any]", inner)
    facts = {
        name: str(found[name]) for name in ("message", "type", "code", "param") if found.get(name)
    }
    if "message" not in facts and (detail := found.get("detail")):
        facts["message"] = _detail(detail)
    return facts


def _detail(detail: Any) -> str:
    """Read what FastAPI writes: a text, or a list of places and messages."""
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(_place_and_message(problem) for problem in cast("list[Any]", detail))


def _place_and_message(problem: Any) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    facts = cast("dict[str, Any]", problem)
    return f"{'.'.join(str(part) for part in facts.get('loc', ()))}: {facts.get('msg', '')}"


def _text(text: str) -> str:
    if "<" in text and (title := _TITLE.search(text)):
        text = title.group(1)
    return " ".join(_TAG.sub(" ", text).split())[:_EXCERPT_CHARS]
