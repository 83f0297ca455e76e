"""The outcome of a row, as an object and as a line of the output file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from tunesmith._json_types import is_object
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.endpoints import ENDPOINTS, Endpoint
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

_MAX_TOKENS = 10**12

_MIN_DEPTH = 100
"""Bodies with fewer brackets are not nested too deeply."""

INVALID_ROW = "invalid_row"
"""The code of a row that is no request."""


def parse_body(body: bytes) -> Any:
    """Read an answer as JSON; None if it cannot be read, also not as a part of a line."""
    try:
        if body.count(b"{") + body.count(b"[") > _MIN_DEPTH:
            from_json(b'{"response":{"body":%b}}' % body)  # the parser has a limit of depth
        return from_json(body)
    except ValueError:
        return None


def parse_usage(body: Mapping[str, Any]) -> Usage | None:
    """Read the usage in an answer, whatever the endpoint calls its fields; None if it has none."""
    usage = body.get("usage")
    if not is_object(usage):
        return None
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    completion = _count(usage, "completion_tokens", "output_tokens")
    if prompt is None and completion is None:
        return None
    return Usage(prompt or 0, completion or 0)


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    """Return a number of tokens; None if there is none, or none that can be believed."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS:
            return value
    return None


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row failed.

    Args:
        code: The service's code, or one of `timeout`, `connection`, `invalid_answer`,
            `does_not_fit`, `status_…`; `invalid_row` if it was no request, and never sent.
        message: What happened, in words.
        attempts: How often the row was sent.
    """

    code: str
    message: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one row.

    Args:
        key: The row's key: its `custom_id`, or a hash of the request.
        line: Where it was found: the line of the source, or the position, counted from 1.
        endpoint: Where it went.
        status: The HTTP status; None if no answer came.
        request_id: The service's id of the request.
        body: The answer's body, as JSON; None if no answer came.
        usage: The tokens that were paid for it.
        error: Why it failed; None if it was answered.
        parsed: The answer as an object of `response_format`, if there is one.
    """

    key: str
    line: int
    endpoint: Endpoint = field(repr=False)
    status: int | None
    request_id: str | None
    body: bytes | None = field(repr=False)
    usage: Usage = NOTHING
    error: RowError | None = None
    parsed: BaseModel | None = None

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.error is None

    @property
    def answer(self) -> Any:
        """The answer: a `Completion`, `ChatCompletion`, `CreateEmbeddingResponse`, or plain JSON.

        Raises:
            ValueError: There is none, or it is no such object.
        """
        if self.body is None or self.error is not None:
            raise ValueError(f"{self.key} was not answered: {self.error}")
        return self.endpoint.read_answer(self.body)

    @property
    def text(self) -> str | None:
        """The text of the first choice; None if the answer has none."""
        body: Any = from_json(self.body) if self.body and self.error is None else None
        choices: Any = body.get("choices") if is_object(body) else None
        if not choices:
            return None
        message = choices[0].get("message")
        found: Any = message.get("content") if is_object(message) else choices[0].get("text")
        return found if isinstance(found, str) else None

    def to_line(self) -> bytes:
        """Write it as a line of the output or error file, as the Batch API has them."""
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
            line: Where the row is in the source.
            endpoint: Where it went.
            is_own: Whether a job wrote it, which has judged the answer already.
        """
        response, reported = data.get("response"), data.get("error")
        fields: Mapping[str, Any] = response if is_object(response) else {}
        body, status = fields.get("body"), fields.get("status_code")
        status = status if isinstance(status, int) else None
        error: RowError | None = None
        if is_object(reported):
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
    """Write a line of the output file around a body that is JSON and stays as it is."""
    if b"NaN" in body or b"Infinity" in body:
        body = to_json(from_json(body), inf_nan_mode="null")  # JSON has no such numbers
    if b"\n" in body or b"\r" in body:
        # In JSON a line break is white space: inside of texts it is escaped.
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
    """Write a line of the error file."""
    error = result.error or RowError("unknown", "no reason is known")
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
    value = parse_body(body or b"")
    return body.decode(errors="replace") if value is None and body is not None else value
