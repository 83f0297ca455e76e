"""Making a call: attempts until one is good, or no more are allowed."""

import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from tunesmith.backends.base import Backend, get_clock
from tunesmith.calls.deadline import Deadline, TimeLimitError
from tunesmith.calls.open_response import OpenResponse
from tunesmith.calls.policy import CallPolicy
from tunesmith.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    BackendError,
    DeadlineExceededError,
    InvalidResponseError,
    Phase,
)
from tunesmith.operations.base import Operation
from tunesmith.protocol.decode import decode_answer
from tunesmith.protocol.encode import encode
from tunesmith.protocol.error_body import parse_error
from tunesmith.protocol.message import Request, Response
from tunesmith.protocol.retry import may_have_been_processed, retry_delay
from tunesmith.types.response import ResponseInfo, request_id_of

__all__ = ["AttemptError", "Caller"]

A = TypeVar("A")

_log = logging.getLogger("tunesmith.calls")

_MAX_ERROR_BYTES = 1024 * 1024


@dataclass(slots=True)
class AttemptError(Exception):
    """An attempt that went wrong, and what the next step depends on.

    Args:
        error: What a caller would see.
        backend_error: Why no answer came, if none did.
    """

    error: APIError
    backend_error: BackendError | None = None

    @property
    def may_have_happened(self) -> bool:
        """Whether the service may have done what was asked, though no answer says so."""
        status = self.error.status if isinstance(self.error, APIStatusError) else None
        return may_have_been_processed(status=status, error=self.backend_error)


class Caller:
    """Makes calls over a backend by a policy.

    Args:
        backend: Where requests go.
        policy: What holds for every call.
    """

    def __init__(self, backend: Backend, policy: CallPolicy) -> None:
        self.backend = backend
        self.policy = policy
        self.clock = get_clock(backend)
        self.created_ids: deque[str] = deque(maxlen=1000)
        self._random = random.Random()  # noqa: S311 - spreads retries, protects nothing

    def with_policy(self, policy: CallPolicy) -> "Caller":
        """Make a caller over the same backend that goes by another policy."""
        caller = Caller(self.backend, policy)
        caller.created_ids = self.created_ids
        return caller

    def deadline(self, operation: str) -> Deadline:
        """Begin the time of a call."""
        return Deadline(self.clock, self.policy.deadline_s, operation)

    async def call(self, operation: Operation[A], *, deadline: Deadline | None = None) -> A:
        """Make a call and read its answer.

        Args:
            operation: What is asked.
            deadline: The end of a longer call that this one is part of; its own if None.

        Raises:
            APIError: The call went wrong.
            DeadlineExceededError: The time of the whole call is up.
        """
        request = encode(operation, headers=self.policy.headers, timeout_s=self.policy.timeout_s)
        deadline = deadline or self.deadline(request.operation)
        creates = operation.spec.is_create
        began_at = self.clock.time()
        attempt = 0
        while True:
            attempt += 1
            try:
                info, body = await self._attempt(request, deadline, attempt)
            except AttemptError as caught:
                failure = caught
            else:
                answer = decode_answer(operation, body, info)
                if creates:
                    self.created_ids.append(str(getattr(answer, "id", "")))
                return answer
            if creates and failure.may_have_happened and self.policy.retry.max_retries:
                found = await self._find_created(operation, began_at, deadline, failure.error)
                if found is not None:
                    return found
            await self._backoff(failure, request, deadline, attempt)

    @asynccontextmanager
    async def stream(
        self,
        operation: Operation[Any],
        *,
        streaming: bool = False,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> AsyncGenerator[OpenResponse]:
        """Make a call and hand over its answer to be read bit by bit.

        Args:
            operation: What is asked.
            streaming: Whether the service shall send events.
            headers: Headers of this call alone, such as `range`.
            deadline: The end of a longer call that this one is part of; its own if None.

        Raises:
            APIError: The call went wrong.
            DeadlineExceededError: The time of the whole call is up.
        """
        request = encode(
            operation,
            streaming=streaming,
            headers={**self.policy.headers, **(headers or {})},
            timeout_s=self.policy.timeout_s,
        )
        deadline = deadline or self.deadline(request.operation)
        attempt = 0
        while True:
            attempt += 1
            async with AsyncExitStack() as stack:
                try:
                    received = await self._receive(request, stack, deadline, attempt)
                except AttemptError as caught:
                    failure = caught
                else:
                    yield received
                    return
            await self._backoff(failure, request, deadline, attempt)

    async def attempt(
        self, request: Request, deadline: Deadline, number: int
    ) -> tuple[ResponseInfo, bytes]:
        """Send a request that is already encoded, once; for callers with a policy of their own.

        Args:
            request: What is sent.
            deadline: The end of the call.
            number: Which attempt this is, counted from 1.

        Returns:
            What is known of the response, and its body.

        Raises:
            AttemptError: It went wrong.
            DeadlineExceededError: The time of the whole call is up.
        """
        return await self._attempt(request, deadline, number)

    async def _attempt(
        self, request: Request, deadline: Deadline, number: int
    ) -> tuple[ResponseInfo, bytes]:
        began = self.clock.monotonic()
        try:
            with deadline.scope(request.timeout_s):
                async with self.backend.send(request) as response:
                    body = await self._read(response, request, number)
        except (TimeLimitError, BackendError) as error:
            raise self._connection_failure(error, request, deadline, number, began) from error
        info = self._log_success(response, request, number, began)
        if not _is_good(response):
            raise self._status_failure(response, body, request, number)
        return info, body

    async def _find_created(
        self, operation: Operation[A], began_at: float, deadline: Deadline, lost: APIError
    ) -> A | None:
        # Imported only now: it knows every operation that creates, and is hardly ever needed.
        from tunesmith.calls.create_recovery import recover_created  # noqa: PLC0415

        found = await recover_created(
            self.call, operation, began_at, deadline, self.created_ids, lost
        )
        if found is not None:
            _log.info("%s: its answer was lost, but it was done", operation.spec.name)
            self.created_ids.append(found.id)
        return cast("A | None", found)

    async def _receive(
        self, request: Request, stack: AsyncExitStack, deadline: Deadline, attempt: int
    ) -> OpenResponse:
        """Make an attempt, and leave its answer open to be read."""
        began = self.clock.monotonic()
        try:
            with deadline.scope(request.timeout_s):
                response = await stack.enter_async_context(self.backend.send(request))
                body = b"" if _is_good(response) else await self._read(response, request, attempt)
        except (TimeLimitError, BackendError) as error:
            raise self._connection_failure(error, request, deadline, attempt, began) from error
        info = self._log_success(response, request, attempt, began)
        if not _is_good(response):
            raise self._status_failure(response, body, request, attempt)
        return OpenResponse(
            info, response.stream, deadline, request.timeout_s, response.keeps_timeout
        )

    async def _read(self, response: Response, request: Request, attempt: int) -> bytes:
        """Read a body; of an error, only as much as its message can need."""
        if not _is_good(response):
            return await response.read(max_bytes=_MAX_ERROR_BYTES)
        limit = self.policy.max_response_bytes
        body = await response.read(max_bytes=limit)
        if limit is not None and len(body) > limit:
            raise InvalidResponseError(
                f"{request.operation}: the response is larger than {limit:,} bytes; to allow "
                "larger ones, set max_response_bytes",
                operation=request.operation,
                attempts=attempt,
                request_id=request_id_of(response.headers),
            )
        return body

    def _log_success(
        self, response: Response, request: Request, attempt: int, began: float
    ) -> ResponseInfo:
        info = ResponseInfo(
            response.status, response.headers, attempt, self.clock.monotonic() - began
        )
        self._log_attempt(request, response.status, attempt, began, response.headers)
        return info

    def _status_failure(
        self, response: Response, body: bytes, request: Request, attempt: int
    ) -> AttemptError:
        refusal = parse_error(response.status, response.headers, body, now=self.clock.time())
        refusal.operation = request.operation
        refusal.attempts = attempt
        return AttemptError(refusal)

    def _connection_failure(
        self,
        error: TimeLimitError | BackendError,
        request: Request,
        deadline: Deadline,
        attempt: int,
        began: float,
    ) -> AttemptError:
        if isinstance(error, BackendError):
            self._log_attempt(request, error.phase, attempt, began)
            return AttemptError(_connection_error(error, request, attempt), error)
        self._log_attempt(request, "timeout", attempt, began)
        late = deadline.error(request.timeout_s, attempt)
        if isinstance(late, DeadlineExceededError):
            raise late from None
        phase: Phase = "connect_timeout" if error.unsent else "timeout"
        return AttemptError(late, BackendError(str(late), phase=phase))

    async def _backoff(
        self, failure: AttemptError, request: Request, deadline: Deadline, attempt: int
    ) -> None:
        """Wait before the next attempt, or raise the error if there is to be none."""
        error = failure.error
        status = error if isinstance(error, APIStatusError) else None
        pause_s = retry_delay(
            self.policy.retry,
            attempt,
            status=status.status if status else None,
            code=status.code if status else None,
            headers=status.headers if status else None,
            error=failure.backend_error,
            now=self.clock.time(),
            random=self._random.random(),
        )
        if pause_s is None or not request.replayable:
            raise error from failure.backend_error
        _log.info("%s: %s, again in %.3g s", request.operation, type(error).__name__, pause_s)
        try:
            await deadline.sleep(pause_s, activity="waiting to try again", attempts=attempt)
        except DeadlineExceededError as exceeded:
            raise exceeded from error

    def _log_attempt(
        self,
        request: Request,
        outcome: int | str,
        attempt: int,
        began: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if _log.isEnabledFor(logging.INFO):
            _log.info(
                "%s %s %s attempt=%d %.3fs request_id=%s",
                request.method,
                request.path,
                outcome,
                attempt,
                self.clock.monotonic() - began,
                request_id_of(headers or {}),
            )


def _is_good(response: Response) -> bool:
    return 200 <= response.status < 300  # noqa: PLR2004


def _connection_error(error: BackendError, request: Request, attempt: int) -> APIConnectionError:
    timed_out = error.phase in {"timeout", "connect_timeout"}
    kind = APITimeoutError if timed_out else APIConnectionError
    return kind(f"{request.operation}: {error}", operation=request.operation, attempts=attempt)
