"""Attempts: one row is sent once, and what comes back becomes an event for the core."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith._json_types import is_object
from tunesmith.batch.core.events import FailureKind, RowAnswered, RowFailed, RowUnfit
from tunesmith.batch.core.ledger import Usage
from tunesmith.batch.core.states import Failure, OpenRow
from tunesmith.batch.response_validation import ResponseValidator
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

__all__ = ["Attempt", "LiveSender", "validate"]

_UNREACHABLE_PHASES = frozenset({"connect", "connect_timeout"})
_UNAVAILABLE = frozenset({503, 529})
_RATE_LIMITED = 429
_QUOTA = "insufficient_quota"
_ONCE = RetryPolicy(max_retries=1)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of an attempt.

    Args:
        event: What it means.
        result: The outcome of the row, should this be the last attempt.
        headers: The headers of the answer.
        error: The error, for a job that ends by it.
        latency_s: Seconds until the answer; None if none came.
    """

    event: RowAnswered | RowUnfit | RowFailed
    result: Result
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    error: Exception | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class LiveSender:
    """Sends rows one by one.

    Args:
        caller: Makes the calls.
        deadline: The end of the job.
        timeout_s: Seconds that one attempt may take; None for no limit.
        validator: What answers must fit; None for anything.
    """

    caller: Caller
    deadline: Deadline
    timeout_s: float | None
    validator: ResponseValidator | None

    async def send(self, row: OpenRow) -> Attempt:
        """Make one attempt.

        Raises:
            DeadlineExceededError: The time of the job is up.
        """
        request: RequestRow = row.payload
        try:
            info, body = await self.caller.attempt(self._encode(row), self.deadline, row.attempts)
        except AttemptError as failure:
            return self._failed(row, request, failure)
        now = self.caller.clock.monotonic()
        return self._answered(row, request, info, body, now)

    def _encode(self, row: OpenRow) -> Request:
        endpoint = row.payload.endpoint
        policy = self.caller.policy
        headers = {
            "accept": "application/json",
            **policy.headers,
            "content-type": "application/json",
            "content-length": str(len(row.body)),
        }
        return Request(
            endpoint.operation,
            "POST",
            endpoint.path,
            query=tuple(flatten_all(policy.query)),
            headers=headers,
            body=row.body,
            timeout_s=self.timeout_s,
        )

    def _answered(
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
        event: RowAnswered | RowUnfit | RowFailed
        problem = find_answer_error(request.endpoint.operation, info.status, answer)
        if problem is not None:
            event = self._not_an_answer(row, problem, usage, answer, now)
            result = _with_error(result, event.failure)
        else:
            result, failure, is_final = validate(self.validator, result, answer)
            if failure is None:
                event = RowAnswered(row.key, usage, now)
            else:
                event = RowUnfit(row.key, usage, failure, now, is_final)
                self._correct(row, request, answer, failure)
        return Attempt(event, result, info.headers, latency_s=now - row.sent_at)

    def _not_an_answer(
        self, row: OpenRow, problem: AnswerError, usage: Usage | None, answer: object, now: float
    ) -> RowUnfit | RowFailed:
        """Return what an answer means that came with 2xx, and is not a success."""
        failure = Failure(problem.code, problem.message)
        kind = _kind_of_status(problem.status, problem.code)
        is_error = is_object(answer) and problem.code != "invalid_answer"
        if usage is not None or not is_error:  # it was paid, or may have been
            return RowUnfit(row.key, usage, failure, now, kind is FailureKind.FINAL)
        return RowFailed(row.key, kind, failure, now, pause_s=_backoff(row))

    def _correct(
        self, row: OpenRow, request: RequestRow, answer: dict[str, Any], failure: Failure
    ) -> None:
        """Have the next attempt show the model its answer, and what is wrong with it."""
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
            status.body.encode() if status else None,
        )
        event = RowFailed(
            row.key,
            _kind(failed, status),
            failure,
            self.caller.clock.monotonic(),
            failed.may_have_happened,
            status.retry_after if status else None,
            _backoff(row),
        )
        headers = status.headers if status else {}
        return Attempt(event, _with_error(result, failure), headers, error)


def validate(
    validator: ResponseValidator | None, result: Result, answer: object
) -> tuple[Result, Failure | None, bool]:
    """Read an answer as an object of `response_format`.

    Returns:
        The result, why the answer does not count, and whether a repetition would not help.
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


def _kind(failed: AttemptError, status: APIStatusError | None) -> FailureKind:  # noqa: PLR0911
    phase = failed.backend_error.phase if failed.backend_error is not None else None
    if phase in _UNREACHABLE_PHASES:
        return FailureKind.UNREACHABLE
    if status is None:
        return FailureKind.FATAL if phase == "closed" else FailureKind.TRANSIENT
    if isinstance(status, AuthenticationError):
        return FailureKind.FATAL
    if isinstance(status, InsufficientQuotaError):
        return FailureKind.QUOTA
    advice = {k: v for k, v in status.headers.items() if k == "x-should-retry"}
    if isinstance(status, RateLimitError) and advice.get("x-should-retry") != "false":
        return FailureKind.RATE_LIMITED
    if status.status in _UNAVAILABLE and status.retry_after:
        return FailureKind.UNAVAILABLE
    return _kind_of_status(status.status, status.code, advice)


def _kind_of_status(
    status: int, code: str | None, headers: Mapping[str, str] | None = None
) -> FailureKind:
    if code == _QUOTA:
        return FailureKind.QUOTA
    if status == _RATE_LIMITED and not headers:
        return FailureKind.RATE_LIMITED
    delay = retry_delay(_ONCE, 1, status=status, code=code, headers=headers, now=0.0, random=0.0)
    return FailureKind.FINAL if delay is None else FailureKind.TRANSIENT


def _backoff(row: OpenRow) -> float:
    pause_s = min(_ONCE.initial_s * 2.0 ** min(row.failures, 10), _ONCE.max_s)
    return pause_s * (1 - _ONCE.jitter * random.random())  # noqa: S311 - spreads retries
