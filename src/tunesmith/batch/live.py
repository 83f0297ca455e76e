"""Attempts to send a row, and their outcomes."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tunesmith._json_types import is_object
from tunesmith.batch.core.attempts import AttemptOutcome, OutcomeKind
from tunesmith.batch.core.ledger import Usage
from tunesmith.batch.core.states import Failure, OpenRow
from tunesmith.batch.results import Result, RowError, parse_body, parse_usage
from tunesmith.batch.rows import RequestRow
from tunesmith.calls.caller import AttemptError, Caller
from tunesmith.calls.deadline import Deadline
from tunesmith.errors import (
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    InsufficientQuotaError,
    InvalidResponseError,
    RateLimitError,
)
from tunesmith.protocol.flatten import flatten_all
from tunesmith.protocol.message import Request
from tunesmith.protocol.outcome import AnswerError, find_answer_error
from tunesmith.protocol.retry import RetryPolicy, retry_delay
from tunesmith.types.response import ResponseInfo, request_id_of

if TYPE_CHECKING:  # few jobs need it
    from tunesmith.batch.response_validation import ResponseValidator

__all__ = ["Attempt", "LiveSender", "validate"]

_UNREACHABLE_PHASES = frozenset({"connect", "connect_timeout"})
_UNAVAILABLE = frozenset({503, 529})
_RATE_LIMITED = 429
_QUOTA = "insufficient_quota"
_ONCE = RetryPolicy(max_retries=1)


@dataclass(slots=True)
class Attempt:
    """End of an attempt.

    Args:
        outcome: Its outcome.
        result: The result of the row, should this be the last attempt.
        headers: The response headers.
        error: The error, should it end the job.
    """

    outcome: AttemptOutcome
    result: Result
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    error: Exception | None = None


@dataclass(slots=True)
class LiveSender:
    """Sender of single rows.

    Args:
        caller: Makes the calls.
        deadline: The deadline of the job.
        timeout_s: Seconds that one attempt may take; None for no limit.
        validator: Validates answers; None accepts all.
    """

    caller: Caller
    deadline: Deadline
    timeout_s: float | None
    validator: "ResponseValidator | None"
    _headers: dict[str, str] = field(init=False)
    _query: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        policy = self.caller.policy
        self._headers = {
            "accept": "application/json",
            **policy.headers,
            "content-type": "application/json",
        }
        self._query = tuple(flatten_all(policy.query)) if policy.query else ()

    async def send(self, row: OpenRow) -> Attempt:
        """Make one attempt.

        Raises:
            DeadlineExceededError: The deadline of the job passed.
        """
        request: RequestRow = row.payload
        try:
            info, body = await self.caller.attempt(self._encode(row), self.deadline, row.attempts)
        except AttemptError as failure:
            return self._failed(row, request, failure)
        now = self.caller.clock.monotonic()
        return self._on_response(row, request, info, body, now)

    def _encode(self, row: OpenRow) -> Request:
        endpoint = row.payload.endpoint
        return Request(
            endpoint.operation,
            "POST",
            endpoint.path,
            query=self._query,
            headers={**self._headers, "content-length": str(len(row.body))},
            body=row.body,
            timeout=self.timeout_s,
        )

    def _on_response(
        self, row: OpenRow, request: RequestRow, info: ResponseInfo, body: bytes, now: float
    ) -> Attempt:
        answer, body = parse_body(body)
        usage = parse_usage(answer) if is_object(answer) else None
        result = Result(
            row.key,
            request.line,
            request.endpoint,
            info.status,
            request_id_of(info.headers),
            body,
            usage or Usage(),
        )
        problem = find_answer_error(request.endpoint.operation, info.status, answer)
        if problem is not None:
            outcome = _reject(row, problem, usage, answer, now)
            result = _with_error(result, outcome.failure)
        else:
            result, failure, is_final = validate(self.validator, result, answer)
            if failure is None:
                outcome = AttemptOutcome(OutcomeKind.COMPLETED, now, usage)
            else:
                outcome = AttemptOutcome(OutcomeKind.INVALID, now, usage, failure, is_final)
                self._correct(row, request, answer, failure)
        return Attempt(outcome, result, info.headers)

    def _correct(
        self, row: OpenRow, request: RequestRow, answer: dict[str, Any], failure: Failure
    ) -> None:
        """Append the answer and its error to the messages of the next attempt."""
        if self.validator is None:
            return
        problem = InvalidResponseError(failure.message)
        row.body = self.validator.build_retry_body(request.body, answer, problem)
        longer = request._replace(body=row.body)
        row.tokens = longer.estimated_tokens
        if row.cost is not None:
            row.cost = Usage(len(row.body), row.cost.completion)

    def _failed(self, row: OpenRow, request: RequestRow, failed: AttemptError) -> Attempt:
        error = failed.error
        status = error if isinstance(error, APIStatusError) else None
        if status is not None:
            code = status.code or status.type or f"status_{status.status}"
        else:
            code = "timeout" if isinstance(error, APITimeoutError) else "connection"
        failure = Failure(code, error.message)
        result = Result(
            row.key,
            request.line,
            request.endpoint,
            status.status if status else None,
            status.request_id if status else None,
            status.text.encode() if status else None,
        )
        outcome = AttemptOutcome(
            _kind(failed, status),
            self.caller.clock.monotonic(),
            failure=failure,
            may_be_paid=failed.may_have_happened,
            retry_after_s=status.retry_after if status else None,
            backoff_s=_backoff(row),
        )
        headers = status.headers if status else {}
        return Attempt(outcome, _with_error(result, failure), headers, error)


def _reject(
    row: OpenRow, problem: AnswerError, usage: Usage | None, answer: object, now: float
) -> AttemptOutcome:
    """Return the outcome of a response with status 2xx that is not a success."""
    failure = Failure(problem.code, problem.message)
    kind = _kind_of_status(problem.status, problem.code)
    is_error = is_object(answer) and problem.code != "invalid_answer"
    if usage is not None or not is_error:  # it was paid, or may have been
        is_final = kind is OutcomeKind.FINAL
        return AttemptOutcome(OutcomeKind.INVALID, now, usage, failure, is_final)
    return AttemptOutcome(kind, now, failure=failure, backoff_s=_backoff(row))


def validate(
    validator: "ResponseValidator | None", result: Result, answer: object
) -> tuple[Result, Failure | None, bool]:
    """Parse an answer as an object of `response_format`.

    Returns:
        The result, why the answer is invalid, and whether a retry would not help.
    """
    if validator is None or not is_object(answer):
        return result, None, False
    try:
        return replace(result, parsed=validator.parse(answer)), None, False
    except InvalidResponseError as error:
        failure, is_final = Failure("does_not_fit", error.message), validator.is_truncated(answer)
    except Exception as error:  # noqa: BLE001 - the validators of the class are the user's
        message = f"the validator raised {type(error).__name__}: {error}"
        failure, is_final = Failure("validator_failed", message), True
    return _with_error(result, failure), failure, is_final


def _with_error(result: Result, failure: Failure) -> Result:
    return replace(result, error=RowError(failure.code, failure.message))


def _kind(failed: AttemptError, status: APIStatusError | None) -> OutcomeKind:  # noqa: PLR0911
    phase = failed.backend_error.phase if failed.backend_error is not None else None
    if phase in _UNREACHABLE_PHASES:
        return OutcomeKind.UNREACHABLE
    if status is None:
        return OutcomeKind.FATAL if phase == "closed" else OutcomeKind.TRANSIENT
    if isinstance(status, AuthenticationError):
        return OutcomeKind.FATAL
    if isinstance(status, InsufficientQuotaError):
        return OutcomeKind.QUOTA
    advice = {k: v for k, v in status.headers.items() if k == "x-should-retry"}
    if isinstance(status, RateLimitError) and advice.get("x-should-retry") != "false":
        return OutcomeKind.RATE_LIMITED
    if status.status in _UNAVAILABLE and status.retry_after:
        return OutcomeKind.UNAVAILABLE
    return _kind_of_status(status.status, status.code, advice)


def _kind_of_status(
    status: int, code: str | None, headers: Mapping[str, str] | None = None
) -> OutcomeKind:
    if code == _QUOTA:
        return OutcomeKind.QUOTA
    if status == _RATE_LIMITED and not headers:
        return OutcomeKind.RATE_LIMITED
    delay = retry_delay(_ONCE, 1, status=status, code=code, headers=headers, now=0.0, random=0.0)
    return OutcomeKind.FINAL if delay is None else OutcomeKind.TRANSIENT


def _backoff(row: OpenRow) -> float:
    pause_s = min(_ONCE.initial_s * 2.0 ** min(row.failures, 10), _ONCE.max_s)
    return pause_s * (1 - _ONCE.jitter * random.random())  # noqa: S311 - spreads retries
