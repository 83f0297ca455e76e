"""Outcomes of rows, as objects and as lines of the output files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from pydantic_core import from_json, to_json
from typing_extensions import TypeVar

from tunesmith._json_types import is_list, is_object
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.endpoints import ENDPOINTS, Endpoint
from tunesmith.protocol.json import parse_json, replace_surrogates, text_content
from tunesmith.protocol.outcome import find_answer_error

__all__ = [
    "INVALID_ROW",
    "Result",
    "RowError",
    "Usage",
    "answer_line",
    "error_line",
    "parse_body",
    "parse_usage",
]

M = TypeVar("M", default=Any)

_MAX_TOKENS = 10**12

_MIN_DEPTH = 100
"""Bodies with fewer brackets cannot be nested too deeply."""

INVALID_ROW = "invalid_row"
"""Code of a row that is not a valid request."""


def parse_body(body: bytes) -> tuple[Any, bytes]:
    """Parse the body of a response, which may contain lone surrogates or a byte order mark.

    Returns:
        The JSON, None if it cannot be parsed, also as a part of a line; and the body as a line of
        the output can contain it.
    """
    try:
        if body.count(b"{") + body.count(b"[") > _MIN_DEPTH:
            from_json(_nested(body))
        return from_json(body), body
    except ValueError:
        pass
    try:
        value = replace_surrogates(parse_json(body))
        clean = to_json(value, inf_nan_mode="null")
        from_json(_nested(clean))
    except (ValueError, RecursionError):
        return None, body
    return value, clean


def _nested(body: bytes) -> bytes:
    """Return a body as deep as in a line: the parser's depth is limited."""
    return b'{"response":{"body":%b}}' % body


def parse_usage(body: Mapping[str, Any]) -> Usage | None:
    """Return the usage in a response, by the names of any endpoint; None without usage."""
    usage = body.get("usage")
    if not is_object(usage):
        return None
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    completion = _count(usage, "completion_tokens", "output_tokens")
    if prompt is None and completion is None:
        return None
    return Usage(prompt or 0, completion or 0)


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    """Return a number of tokens; None if it is missing or implausible."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS:
            return value
    return None


@dataclass(frozen=True, slots=True)
class RowError:
    """Cause of a failed row.

    Args:
        code: The service's code, or one of `timeout`, `connection`, `invalid_answer`,
            `does_not_fit`, `validator_failed`, `status_…`; `invalid_row` if it was never sent.
        message: The service's message, or the job's own.
        attempts: Number of attempts.
    """

    code: str
    message: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Result(Generic[M]):
    """Outcome of a row; `Result[City]` in a job with `response_format=City`.

    Args:
        key: The row's key: its `custom_id`, or a hash of the request.
        line: Line of the source, or position, counting from 1; 0 if unknown.
        endpoint: The row's endpoint.
        status: The HTTP status; None without a response.
        request_id: The service's ID of the request.
        body: Body of the response, as JSON; None without a response.
        usage: The paid tokens.
        error: Cause of the failure; None for a success.
        parsed: The response as an object of `response_format`, if there is one.
    """

    key: str
    line: int
    endpoint: Endpoint = field(repr=False)
    status: int | None
    request_id: str | None
    body: bytes | None = field(repr=False)
    usage: Usage = NOTHING
    error: RowError | None = None
    parsed: M | None = None

    @property
    def ok(self) -> bool:
        """Whether the row succeeded."""
        return self.error is None

    @property
    def answer(self) -> Any:
        """The response: a `Completion`, `ChatCompletion`, `CreateEmbeddingResponse` or `Response`.

        Raises:
            ValueError: The row failed, or the body has another shape.
        """
        if self.body is None or self.error is not None:
            raise ValueError(f"{self.key} failed: {self.error}")
        return self.endpoint.parse_response(self.body)

    @property
    def text(self) -> str | None:
        """Text of the first choice, or of a response's messages; None without one."""
        body: Any = from_json(self.body) if self.body and self.error is None else None
        if not is_object(body):
            return None
        if is_list(body.get("output")):
            items = [item for item in body["output"] if is_object(item)]
            return "".join(text_content(item.get("content")) or "" for item in items)
        choices: Any = body.get("choices")
        choice: Any = choices[0] if is_list(choices) and choices else None
        if not is_object(choice):
            return None
        message = choice.get("message")
        return text_content(message.get("content") if is_object(message) else choice.get("text"))

    def to_line(self) -> bytes:
        """Return a line of the output or error file, in the format of the Batch API."""
        if self.error is None and self.body is not None and self.status is not None:
            return answer_line(self.key, self.status, self.request_id, self.body)
        return error_line(self)

    @classmethod
    def from_line(
        cls,
        data: Mapping[str, Any],
        *,
        line: int = 0,
        endpoint: Endpoint = ENDPOINTS["/v1/completions"],
        is_own: bool = True,
    ) -> "Result":
        """Create a result from a line of a result file, read leniently.

        Args:
            data: The line, as JSON.
            line: Line of the row in the source.
            endpoint: The row's endpoint.
            is_own: Whether a job wrote it, and so decided already that it is a success.
        """
        response, reported = data.get("response"), data.get("error")
        fields: Mapping[str, Any] = response if is_object(response) else {}
        body, status = fields.get("body"), fields.get("status_code")
        status = status if isinstance(status, int) else None
        error: RowError | None = None
        if is_object(reported) and reported:
            attempts = reported.get("attempts")
            error = RowError(
                str(reported.get("code") or "batch_error"),
                str(reported.get("message") or "the service gives no reason"),
                attempts if isinstance(attempts, int) else 1,
            )
        elif reported:
            error = RowError("batch_error", str(reported))
        elif not is_own or not fields:
            problem = find_answer_error(endpoint.operation, status or 0, body)
            error = RowError(problem.code, problem.message) if problem else None
        request_id = fields.get("request_id")
        return cls(
            str(data.get("custom_id")),
            line,
            endpoint,
            status,
            request_id if isinstance(request_id, str) else None,
            to_json(body, inf_nan_mode="null") if fields else None,
            (parse_usage(body) if is_object(body) else None) or Usage(),
            error,
        )


def answer_line(key: str, status: int, request_id: str | None, body: bytes) -> bytes:
    """Return a line of the output file around a body that is valid JSON."""
    if b"NaN" in body or b"Infinity" in body:
        body = to_json(from_json(body), inf_nan_mode="null")  # JSON has no such numbers
    if b"\n" in body or b"\r" in body:
        # Outside of texts, where it would be escaped, a line break is white space.
        body = body.replace(b"\n", b"").replace(b"\r", b"")
    return (
        b'{"custom_id":%b,"response":{"status_code":%d,"request_id":%b,"body":%b},"error":null}\n'
        % (
            to_json(key),
            status,
            to_json(request_id),
            body,
        )
    )


def error_line(result: Result) -> bytes:
    """Return a line of the error file."""
    error = result.error or RowError("unknown", "unknown cause")
    response = None
    if result.status is not None:
        response = {
            "status_code": result.status,
            "request_id": result.request_id,
            "body": _json_or_text(result.body),
        }
    facts = {"code": error.code, "message": error.message, "attempts": error.attempts}
    line = {"custom_id": result.key, "response": response, "error": facts}
    return to_json(line, inf_nan_mode="null") + b"\n"


def _json_or_text(body: bytes | None) -> Any:
    value = parse_body(body or b"")[0]
    return body.decode(errors="replace") if value is None and body is not None else value
