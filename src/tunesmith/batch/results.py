"""The outcome of a row, as an object and as a line of the output file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from tunesmith.batch.endpoints import Endpoint
from tunesmith.datasets.json_types import is_object
from tunesmith.types.batch_lines import BatchResponseLine

__all__ = ["INVALID_ROW", "Result", "RowError", "Usage", "answer_line", "error_line", "parse_usage"]

INVALID_ROW = "invalid_row"
"""The code of a row that is no request."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were paid.

    Args:
        prompt: Those of questions.
        completion: Those of answers.
    """

    prompt: int = 0
    completion: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompt + self.completion

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.prompt + other.prompt, self.completion + other.completion)


def parse_usage(body: Mapping[str, Any]) -> Usage:
    """Read the usage in an answer, whatever the endpoint calls its fields; zeros if it has none."""
    usage = body.get("usage")
    if not is_object(usage):
        return Usage()

    def count(*names: str) -> int:
        return next((usage[name] for name in names if isinstance(usage.get(name), int)), 0)

    return Usage(
        count("prompt_tokens", "input_tokens"), count("completion_tokens", "output_tokens")
    )


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
    usage: Usage = Usage()
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
    def from_line(cls, line: BatchResponseLine, *, number: int, endpoint: Endpoint) -> "Result":
        """Make it of a line that the Batch API wrote.

        Args:
            line: The line.
            number: Where the row was found in the source.
            endpoint: Where it went.
        """
        response, refused = line.response, line.error
        body: Any = response.body if response else None
        error = None
        if not line.is_success:
            error = _error_of(body, response.status_code if response else None)
            if refused is not None:
                error = RowError(
                    refused.code or "batch_error", refused.message or "no reason given"
                )
        return cls(
            line.custom_id,
            number,
            endpoint,
            response.status_code if response else None,
            response.request_id if response else None,
            to_json(body) if response else None,
            parse_usage(body) if is_object(body) else Usage(),
            error,
        )


def answer_line(key: str, status: int, request_id: str | None, body: bytes) -> bytes:
    """Write a line of the output file around a body that is JSON and stays as it is."""
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
    said = {"code": error.code, "message": error.message, "attempts": error.attempts}
    return to_json({"custom_id": result.key, "response": response, "error": said}) + b"\n"


def _json_or_text(body: bytes | None) -> Any:
    try:
        return from_json(body or b"")
    except ValueError:
        return None if body is None else body.decode(errors="replace")


def _error_of(body: Any, status: int | None) -> RowError:
    said: Any = body.get("error") if is_object(body) else None
    facts: dict[str, Any] = said if is_object(said) else {}
    return RowError(
        str(facts.get("code") or facts.get("type") or f"status_{status}"),
        str(facts.get("message") or "the service gives no reason"),
    )
