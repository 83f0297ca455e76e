"""The live runner: a fixed set of workers that send rows one by one, as the service allows."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from pydantic import BaseModel
from pydantic_core import from_json

from tunesmith.batch.admission import AdmissionController, Permit
from tunesmith.batch.journal import Journal
from tunesmith.batch.metrics import JobMetrics
from tunesmith.batch.outage import OutageTracker
from tunesmith.batch.response_validation import ResponseValidator
from tunesmith.batch.results import Result, RowError, Usage, parse_usage
from tunesmith.batch.row_queue import RowQueue
from tunesmith.batch.rows import RequestRow
from tunesmith.calls.caller import AttemptError, Caller
from tunesmith.calls.deadline import Deadline
from tunesmith.datasets.json_types import is_object
from tunesmith.errors import (
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    DatasetError,
    DeadlineExceededError,
    InsufficientQuotaError,
    InvalidResponseError,
    RateLimitError,
    TunesmithError,
)
from tunesmith.protocol.message import Request
from tunesmith.protocol.retry import RetryPolicy, retry_delay
from tunesmith.types.response import ResponseInfo, request_id_of

__all__ = ["LiveRunner", "RowPolicy"]

_UNAVAILABLE = 503
_UNREACHABLE_PHASES = frozenset({"connect", "connect_timeout"})


@dataclass(frozen=True, slots=True)
class RowPolicy:
    """What holds for every row.

    Args:
        retry: Which failures are tried again, and after what pause; refusals by rate limits do not
            count among them.
        timeout_s: Seconds that one attempt may take; None for no limit.
        headers: Headers to send with every row, names in lower case.
        fitting: What answers must fit; None for anything.
    """

    retry: RetryPolicy
    timeout_s: float | None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    fitting: ResponseValidator | None = None


@dataclass(frozen=True, slots=True)
class LiveRunner:
    """Sends rows until there are no more, or the gate lets no more through.

    Args:
        caller: Sends requests.
        feeder: Gives rows.
        gate: Lets them through.
        journal: Is told of each row before it is sent.
        meter: Counts.
        policy: What holds for every row.
        deadline: The end of the job.
        outage: Tells what to do while the service is out of reach.
        finish: Takes the outcome of a row.
        fail: Takes an error that ends the job.
        pause: Waits until more outcomes are welcome.
        unknown: Gets the keys of rows that were cut off, so that nobody knows what came of them.
    """

    caller: Caller
    feeder: RowQueue
    gate: AdmissionController
    journal: Journal
    meter: JobMetrics
    policy: RowPolicy
    deadline: Deadline
    outage: OutageTracker
    finish: Callable[[RequestRow, Result], None]
    fail: Callable[[Exception], None]
    pause: Callable[[], Awaitable[None]]
    unknown: list[str] = field(default_factory=list[str])

    async def run(self) -> None:
        """Work until it is done; what is under way when the job is stopped is finished."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self.gate.concurrency.most):
                tasks.start_soon(self._work)

    async def _work(self) -> None:
        try:
            while (row := await self.feeder.get()) is not None:
                await self._send(row)
                await self.pause()
        except TunesmithError as error:
            self.fail(error)

    async def _send(self, row: RequestRow) -> None:
        sending = _RowTask(self, row)
        try:
            await sending.run()
        except BaseException:
            sending.give_up()
            raise


class _RowTask:
    """One row on its way: sent until it has an outcome, or may not be sent any more."""

    __slots__ = ("_asked", "_attempts", "_failures", "_in_doubt", "_job", "_row", "_usage")

    def __init__(self, job: LiveRunner, row: RequestRow) -> None:
        self._job = job
        self._row = row
        self._asked = row.body
        self._attempts = 0
        self._failures = 0
        self._in_doubt = False
        self._usage = Usage()

    async def run(self) -> None:
        job, row = self._job, self._row
        while (ticket := await job.gate.acquire(row)) is not None:
            paid = Usage()
            try:
                if not self._attempts:
                    job.journal.sent(row, ticket.reserved)
                self._attempts += 1
                job.meter.requests += 1
                info, body = await job.caller.attempt(self._request(), job.deadline, self._attempts)
                answer = _read(body)
                paid = parse_usage(answer) if answer is not None else ticket.reserved or paid
            except AttemptError as failure:
                if failure.may_have_happened:
                    self._in_doubt = True
                    paid = ticket.reserved or paid
                job.gate.release(ticket, paid)
                result = await self._refused(failure, ticket)
            except BaseException as error:
                # Cut off: by the deadline, by whoever cancels the job, or before it was sent.
                self._in_doubt = self._in_doubt or not isinstance(error, TunesmithError)
                job.gate.release(ticket, ticket.reserved or paid)
                if not isinstance(error, DeadlineExceededError):
                    raise
                self._in_doubt = True
                job.gate.stop("deadline")
                continue
            else:
                job.gate.release(ticket, paid)
                result = await self._answered(info, body, answer, paid, ticket)
            if result is not None:
                self._in_doubt = True  # should it not be written
                job.finish(row, result)
                return
        self.give_up()

    def give_up(self) -> None:
        """Note that the row is left for another run."""
        if self._attempts and not self._in_doubt:
            try:
                self._job.journal.requeued(self._row.key)
            except DatasetError:  # then nobody will know
                self._in_doubt = True
        if self._in_doubt:
            self._job.unknown.append(self._row.key)

    def _request(self) -> Request:
        endpoint = self._row.endpoint
        headers = {
            "accept": "application/json",
            **self._job.policy.headers,
            "content-type": "application/json",
            "content-length": str(len(self._asked)),
        }
        return Request(
            endpoint.operation,
            "POST",
            endpoint.path,
            headers=headers,
            body=self._asked,
            timeout_s=self._job.policy.timeout_s,
        )

    async def _answered(
        self,
        info: ResponseInfo,
        body: bytes,
        answer: dict[str, Any] | None,
        paid: Usage,
        ticket: Permit,
    ) -> Result | None:
        """Take an answer; None if it does not do, and the row is to be sent again."""
        job = self._job
        now = job.caller.clock.monotonic()
        job.outage.on_reachable()
        job.gate.pacing.on_success(ticket.sent_at)
        job.gate.pacing.update_from_headers(info.headers, now)
        job.gate.concurrency.on_success(now, job.gate.under_way + 1)
        job.meter.on_answer(now - ticket.sent_at, paid)
        self._usage += paid
        request_id = request_id_of(info.headers)
        parsed: BaseModel | None = None
        error: RowError | None = None
        final = False
        if answer is None:
            error = self._error("invalid_answer", "the answer is not JSON")
        elif job.policy.fitting is not None:
            try:
                parsed = job.policy.fitting.parse(answer)
            except InvalidResponseError as problem:
                error = self._error("does_not_fit", problem.message)
                final = job.policy.fitting.is_truncated(answer)
                self._asked = job.policy.fitting.build_retry_body(self._row.body, answer, problem)
        if error is not None:
            self._failures += 1
            if not final and self._failures <= job.policy.retry.max_retries:
                job.meter.on_retry(error.message)
                job.journal.paid(self._row.key, paid)
                return None
        return self._result(info.status, request_id, body, error, parsed)

    async def _refused(self, failure: AttemptError, ticket: Permit) -> Result | None:
        """Take a failure; None if the row is to be sent again, or was given up."""
        job, error = self._job, failure.error
        now = job.caller.clock.monotonic()
        status = error if isinstance(error, APIStatusError) else None
        if failure.backend_error is not None and failure.backend_error.phase in _UNREACHABLE_PHASES:
            self._on_unreachable(error, ticket, now)
            return None
        if status is not None:
            job.outage.on_reachable()
        if isinstance(error, AuthenticationError):
            job.fail(error)
            return None
        if isinstance(error, InsufficientQuotaError):
            job.gate.stop("quota")
            return None
        headers = status.headers if status else {}
        if isinstance(error, RateLimitError) and headers.get("x-should-retry") != "false":
            job.meter.refused += 1
            self._on_rate_limited(error, ticket, now)
            return None
        if isinstance(error, APITimeoutError) or (status and status.status == _UNAVAILABLE):
            job.gate.concurrency.on_overload(ticket.sent_at, now)
        self._failures += 1
        pause_s = retry_delay(
            job.policy.retry,
            self._failures,
            status=status.status if status else None,
            code=status.code if status else None,
            headers=headers,
            error=failure.backend_error,
            now=job.caller.clock.time(),
            random=random.random(),  # noqa: S311 - spreads retries, protects nothing
        )
        if pause_s is None:
            return self._failed(error)
        job.meter.on_retry(error.message)
        if status is not None and status.status == _UNAVAILABLE and status.retry_after:
            job.gate.pacing.pause(pause_s, now)
        else:
            await job.gate.sleep(pause_s)
        return None

    def _on_unreachable(self, error: APIError, ticket: Permit, now: float) -> None:
        job = self._job
        pause_s = job.outage.on_unreachable(ticket.sent_at, now)
        if pause_s is None:
            job.fail(error)
            return
        job.meter.on_retry(error.message)
        if pause_s:
            job.gate.pacing.pause(pause_s, now)

    def _on_rate_limited(self, error: RateLimitError, ticket: Permit, now: float) -> None:
        pacing = self._job.gate.pacing
        pacing.update_from_headers(error.headers, now)
        is_news = pacing.on_rate_limited(ticket.sent_at, error.retry_after, now)
        if is_news and not pacing.has_limits:
            self._job.gate.concurrency.on_overload(ticket.sent_at, now)

    def _failed(self, error: APIError) -> Result:
        if isinstance(error, APIStatusError):
            code = error.code or error.type or f"status_{error.status}"
            said = self._error(code, error.message)
            return self._result(error.status, error.request_id, error.body.encode(), said)
        code = "timeout" if isinstance(error, APITimeoutError) else "connection"
        return self._result(None, None, None, self._error(code, error.message))

    def _error(self, code: str, message: str) -> RowError:
        return RowError(code, message, self._attempts)

    def _result(
        self,
        status: int | None,
        request_id: str | None,
        body: bytes | None,
        error: RowError | None,
        parsed: BaseModel | None = None,
    ) -> Result:
        row = self._row
        return Result(
            row.key, row.line, row.endpoint, status, request_id, body, self._usage, error, parsed
        )


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        answer: Any = from_json(body)
    except ValueError:
        return None
    return answer if is_object(answer) else None
