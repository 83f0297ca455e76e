"""Recorded calls, and comparison of their parameters with expected ones."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from fnmatch import fnmatchcase
from typing import Any, cast

from pydantic_core import from_json

from tunesmith.errors import BackendError
from tunesmith.protocol.sse import SSEDecoder

__all__ = ["Call", "diff_parameters", "format_parameters", "matches"]

_ERROR = 400
_SHOWN_CHARS = 60
_DIFF_HEADER_LINES = 3
_MAX_DIFF_LINES = 60
_MAX_LINE_CHARS = 500


@dataclass(slots=True)
class Call:
    """A request and its outcome, without API keys.

    Args:
        number: Position among all calls by their start, counting from 1.
        operation: The operation's name, such as `files.create`.
        method: The HTTP method.
        path: The path below the base URL.
        headers: The request headers.
        started_at: Start of the call, in Unix seconds of the backend's clock.
        parameters: Parameters of the path, the query and the body, by the API's names.
        status: The HTTP status; None without a response.
        response_headers: The response headers.
        responded_at: When the response began.
        calls_before_response: Number of calls that had started by then.
        ended_at: When the call ended; None while its response is open.
        error: Error that prevented or interrupted the response.
        garbage_collected: Whether the response was closed only by the garbage collector.
    """

    number: int
    operation: str
    method: str
    path: str
    headers: Mapping[str, str]
    started_at: float
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    responded_at: float | None = None
    calls_before_response: int = 0
    ended_at: float | None = None
    error: BackendError | None = None
    garbage_collected: bool = False
    body: bytes = field(default=b"", repr=False)
    """The response body, as far as it was read and stored."""

    @property
    def response_json(self) -> Any:
        """The JSON of the response; the list of events of a stream; other content as bytes."""
        if "event-stream" in self.response_headers.get("content-type", ""):
            decoder = SSEDecoder()
            return [_parse_json(event.data) for event in decoder.feed(self.body)]
        return _parse_json(self.body)

    @property
    def ok(self) -> bool:
        """Whether the call got a complete response other than an error."""
        return self.status is not None and self.status < _ERROR and self.error is None

    @property
    def error_code(self) -> str | None:
        """The API's error code in the response."""
        match self.response_json:
            case {"error": {"code": code}}:
                return cast("str | None", code)
            case _:
                return None

    def __str__(self) -> str:
        outcome = str(self.status or "no response")
        if self.error is not None:
            outcome += f" ({self.error})"
        elif self.ended_at is None:
            outcome += " (open)"
        if self.ended_at is not None:
            outcome += f" in {self.ended_at - self.started_at:.3g} s"
        parameters = format_parameters(self.parameters)
        return f"{self.number} {self.operation} {outcome} {parameters}".rstrip()


def matches(call: Call, operation: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether a call has an operation and parameters.

    Args:
        call: The call.
        operation: The operation's name; `*` matches any text.
        parameters: Expected parameters by name: values, predicates, or patterns to search for.
    """
    return fnmatchcase(call.operation, operation) and all(
        _is_expected(expected, call.parameters.get(name)) for name, expected in parameters.items()
    )


def diff_parameters(expected: Mapping[str, Any], call: Call) -> str:
    """Return a line diff of expected parameters and those of a call, shortened when long."""
    actual = {
        # A matching value is shown as expected, so that only the differences stand out.
        name: value if _is_expected(value, call.parameters.get(name)) else call.parameters.get(name)
        for name, value in expected.items()
    }
    diff = unified_diff(_lines(expected), _lines(actual), lineterm="")
    lines = list(diff)[_DIFF_HEADER_LINES:]
    if len(lines) > _MAX_DIFF_LINES:
        lines = [*lines[:_MAX_DIFF_LINES], "@@"]
    return "\n".join(
        "  …" if line.startswith("@@") else f"{line[0]} {line[1:_MAX_LINE_CHARS]}" for line in lines
    )


def format_parameters(parameters: Mapping[str, Any]) -> str:
    """Format parameters in one line."""
    return " ".join(f"{name}={_shorten(value)}" for name, value in parameters.items())


def _is_expected(expected: Any, actual: Any) -> bool:
    if isinstance(expected, re.Pattern):
        pattern = cast("re.Pattern[str]", expected)
        return isinstance(actual, str) and pattern.search(actual) is not None
    if callable(expected):
        return bool(cast("Callable[[Any], object]", expected)(actual))
    return bool(expected == actual)


def _lines(parameters: Mapping[str, Any]) -> list[str]:
    text = json.dumps(dict(parameters), indent=2, ensure_ascii=False, default=_describe)
    return text.splitlines()


def _shorten(value: Any) -> str:
    text = _describe(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _describe(value: Any) -> str:
    if isinstance(value, re.Pattern):
        return f"/{cast('re.Pattern[str]', value).pattern}/"
    return f"<{getattr(value, '__name__', 'function')}>" if callable(value) else repr(value)


def _parse_json(content: bytes) -> Any:
    try:
        return from_json(content) if content else None
    except ValueError:
        return content
