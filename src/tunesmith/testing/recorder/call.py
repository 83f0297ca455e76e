"""One call that was made, and whether it is the one that is looked for."""

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


@dataclass(slots=True)
class Call:
    """A request and what became of it. Keys are never in it.

    Args:
        number: Counts the calls from 1, in the order in which they began.
        operation: The operation's name, such as `files.create`.
        method: The HTTP method.
        path: The path below the base URL.
        headers: The request's headers.
        began_at: When it began, in Unix seconds of the backend's clock.
        parameters: What was asked, by the API's names: those in the path, the query and the body.
        status: The answer's HTTP status; None if none came.
        answer_headers: The answer's headers.
        answered_at: When the answer began.
        calls_before_answer: How many calls had begun by then.
        ended_at: When the call was over; None as long as its answer is open.
        error: Why there was no answer, or why it broke off.
        garbage_collected: Whether nobody closed the answer but the garbage collector.
    """

    number: int
    operation: str
    method: str
    path: str
    headers: Mapping[str, str]
    began_at: float
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    status: int | None = None
    answer_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    answered_at: float | None = None
    calls_before_answer: int = 0
    ended_at: float | None = None
    error: BackendError | None = None
    garbage_collected: bool = False
    body: bytes = field(default=b"", repr=False)
    """The answer's body, as far as it was read and kept."""

    @property
    def response_json(self) -> Any:
        """The answer's JSON; of a stream, the list of its events; the bytes of anything else."""
        if "event-stream" in self.answer_headers.get("content-type", ""):
            decoder = SSEDecoder()
            return [_json(event.data) for event in decoder.feed(self.body)]
        return _json(self.body)

    @property
    def ok(self) -> bool:
        """Whether an answer came that is no error."""
        return self.status is not None and self.status < _ERROR and self.error is None

    @property
    def error_code(self) -> str | None:
        """The API's code of the error that was answered."""
        answer = self.response_json
        error: Any = cast("dict[str, Any]", answer).get("error") if type(answer) is dict else None
        return cast("dict[str, Any]", error).get("code") if type(error) is dict else None

    def __str__(self) -> str:
        outcome = str(self.status or "no answer")
        if self.error is not None:
            outcome += f" ({self.error})"
        elif self.ended_at is None:
            outcome += " (open)"
        took = "" if self.ended_at is None else f" in {self.ended_at - self.began_at:.3g} s"
        asked = format_parameters(self.parameters)
        return f"{self.number} {self.operation} {outcome}{took}" + (f" {asked}" if asked else "")


_ERROR = 400
_SHOWN_CHARS = 60
_HEADINGS = 3
_MOST_LINES = 60
_MOST_CHARS = 500


def matches(call: Call, operation: str, parameters: Mapping[str, Any]) -> bool:
    """Tell whether a call is of an operation, and asked for this.

    Args:
        call: The call.
        operation: The operation's name; `*` stands for any text.
        parameters: A value, a function that tells whether a value is right, or a pattern that is
            found in it, by name.
    """
    return fnmatchcase(call.operation, operation) and all(
        _is_right(wanted, call.parameters.get(name)) for name, wanted in parameters.items()
    )


def diff_parameters(wanted: Mapping[str, Any], call: Call) -> str:
    """Show how a call's parameters differ from those that are looked for, line by line.

    Of long ones only the places where they differ are shown, with a few lines around them.
    """
    actual = {
        # What is right is shown as it is wanted, so that only the differences stand out.
        name: value if _is_right(value, call.parameters.get(name)) else call.parameters.get(name)
        for name, value in wanted.items()
    }
    lines = list(unified_diff(_lines(wanted), _lines(actual), lineterm=""))[_HEADINGS:]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], "@@"]
    return "\n".join(
        "  …" if line.startswith("@@") else f"{line[0]} {line[1:_MOST_CHARS]}" for line in lines
    )


def format_parameters(parameters: Mapping[str, Any]) -> str:
    """Write parameters in one line."""
    return " ".join(f"{name}={_short(value)}" for name, value in parameters.items())


def _is_right(wanted: Any, actual: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        pattern = cast("re.Pattern[str]", wanted)
        return isinstance(actual, str) and pattern.search(actual) is not None
    if callable(wanted):
        return bool(cast("Callable[[Any], object]", wanted)(actual))
    return bool(wanted == actual)


def _lines(parameters: Mapping[str, Any]) -> list[str]:
    text = json.dumps(dict(parameters), indent=2, ensure_ascii=False, default=_shown)
    return text.splitlines()


def _short(value: Any) -> str:
    text = _shown(value) if callable(value) else repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _shown(value: Any) -> str:
    if isinstance(value, re.Pattern):
        return f"/{cast('re.Pattern[str]', value).pattern}/"
    return f"<{getattr(value, '__name__', 'function')}>" if callable(value) else repr(value)


def _json(content: bytes) -> Any:
    try:
        return from_json(content) if content else None
    except ValueError:
        return content
