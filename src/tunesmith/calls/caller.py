"""Calls: attempts until one succeeds or the retries are used up."""

import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import uuid4

from tunesmith.backends.base import Backend, get_clock
from tunesmith.calls.deadline import Deadline, TimeLimitError
from tunesmith.calls.open_response import OpenResponse, check_whole, too_large_error
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
    UnknownOutcomeError,
)
from tunesmith.operations.base import Operation
from tunesmith.protocol.decode import decode_response, decoding_error
from tunesmith.protocol.encode import FILE_PARAMS, encode
from tunesmith.protocol.error_body import find_error, parse_error
from tunesmith.protocol.file_input import to_file_source
from tunesmith.protocol.message import Request, Response, redact_headers
from tunesmith.protocol.retry import may_have_been_processed, retry_delay
from tunesmith.types.response import ResponseInfo, request_id_of

__all__ = ["AttemptError", "Caller"]

A = TypeVar("A")

_log = logging.getLogger("tunesmith.calls")

_MAX_ERROR_BYTES = 1024 * 1024

_REJECTIONS = frozenset({400, 404, 409})
"""Statuses with which services answer a repeated request to complete an upload."""


@dataclass(slots=True)
class AttemptError(Exception):
    """Failed attempt.

    Args:
        error: The exception for the caller.
        backend_error: The connection error, if no response was received.
    """

    error: APIError
    backend_error: BackendError | None = None

    @property
    def may_have_happened(self) -> bool:
        """Whether the service may have processed the request."""
        status = self.error.status if isinstance(self.error, APIStatusError) else None
        return may_have_been_processed(status=status, error=self.backend_error)


class Caller:
    """Sender of operations over a backend, following a policy.

    Args:
        backend: The backend.
        policy: The policy of all calls.
    """

    def __init__(self, backend: Backend, policy: CallPolicy) -> None:
        self.backend = backend
        self.policy = policy
        self.clock = get_clock(backend)
        self.created_ids: deque[str] = deque(maxlen=1000)
        self._random = random.Random()  # noqa: S311 - spreads retries, protects nothing

    def with_policy(self, policy: CallPolicy) -> "Caller":
        """Return a caller with another policy over the same backend."""
        caller = Caller(self.backend, policy)
        caller.created_ids = self.created_ids
        return caller

    def deadline(self, operation: str) -> Deadline:
        """Start the deadline of a call."""
        return Deadline(self.clock, self.policy.deadline_s, operation)

    async def call(self, operation: Operation[A], *, deadline: Deadline | None = None) -> A:
        """Call an operation and return its response.

        Args:
            operation: The operation.
            deadline: Deadline of a longer call that this one is part of; its own if None.

        Raises:
            APIError: The call failed.
            DeadlineExceededError: The deadline passed.
        """
        operation = _open_files(operation)
        headers = self.policy.headers
        if operation.spec.is_create:
            headers = {"idempotency-key": f"tunesmith-{uuid4()}", **headers}
        request = encode(
            operation, headers=headers, query=self.policy.query, timeout_s=self.policy.timeout_s
        )
        deadline = deadline or self.deadline(request.operation)
        is_create = operation.spec.is_create
        began_at = self.clock.time()
        lost: APIError | None = None
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._call_once(operation, request, deadline, attempt)
            except AttemptError as caught:
                failure = caught
            if lost is not None:
                _raise_if_completed(operation, failure.error, lost)
            if failure.may_have_happened:
                lost = failure.error
                if is_create and self.policy.retry.max_retries:
                    created = await self._recover(operation, began_at, deadline, lost)
                    if created is not None:
                        return created
            await self._backoff(failure, request, deadline, attempt)

    async def _call_once(
        self, operation: Operation[A], request: Request, deadline: Deadline, attempt: int
    ) -> A:
        info, body = await self._send_once(request, deadline, attempt)
        if operation.spec.response_type is bytes:
            check_whole(request.operation, info)
        else:
            error = find_error(request.operation, info, body)
            if error is not None:
                raise AttemptError(error)
        try:
            response = decode_response(operation, body, info)
        except InvalidResponseError:
            # Raised without the variables that hold the body: servers may echo the key.
            body = redact_headers(body, request.headers)
            invalid = decoding_error(operation, body, info)
            del body
            raise invalid from None
        if operation.spec.is_create:
            self.created_ids.append(str(getattr(response, "id", "")))
        return response

    @asynccontextmanager
    async def stream(
        self,
        operation: Operation[Any],
        *,
        streaming: bool = False,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> AsyncGenerator[OpenResponse]:
        """Call an operation and yield its response, open to be read.

        Args:
            operation: The operation.
            streaming: Whether to ask for a stream of events.
            headers: Further headers, such as `range`.
            deadline: Deadline of a longer call that this one is part of; its own if None.

        Raises:
            APIError: The call failed.
            DeadlineExceededError: The deadline passed.
        """
        request = encode(
            operation,
            streaming=streaming,
            headers={**self.policy.headers, **(headers or {})},
            query=self.policy.query,
            timeout_s=self.policy.timeout_s,
        )
        deadline = deadline or self.deadline(request.operation)
        attempt = 0
        while True:
            attempt += 1
            async with AsyncExitStack() as stack:
                try:
                    received = await self._open(request, stack, deadline, attempt)
                except AttemptError as caught:
                    failure = caught
                else:
                    yield received
                    return
            await self._backoff(failure, request, deadline, attempt)

    async def attempt(
        self, request: Request, deadline: Deadline, number: int
    ) -> tuple[ResponseInfo, bytes]:
        """Send an encoded request once, for callers with a retry policy of their own.

        Args:
            request: The request.
            deadline: The deadline of the call.
            number: Number of the attempt, starting at 1.

        Returns:
            Metadata and body of the response.

        Raises:
            AttemptError: The attempt failed.
            DeadlineExceededError: The deadline passed.
        """
        return await self._send_once(request, deadline, number)

    async def _send_once(
        self, request: Request, deadline: Deadline, number: int
    ) -> tuple[ResponseInfo, bytes]:
        # Not `attempt`, which subclasses may extend for callers of their own.
        began = self.clock.monotonic()
        try:
            with deadline.scope(request.timeout):
                async with self.backend.send(request) as response:
                    if _is_success(response):
                        body = await self._read(response, request, number)
                    else:
                        body = await _read_error(response, request)
        except (TimeLimitError, BackendError) as error:
            raise self._connection_failure(error, request, deadline, number, began) from error
        info = self._log_response(response, request, number, began)
        if not _is_success(response):
            raise self._status_failure(response, body, request, number)
        return info, body

    async def _recover(
        self, operation: Operation[A], began_at: float, deadline: Deadline, lost: APIError
    ) -> A | None:
        # Imported late: it imports all operations that create, and is rarely needed.
        from tunesmith.calls.create_recovery import recover_created  # noqa: PLC0415

        created = await recover_created(self, operation, began_at, deadline, lost)
        if created is not None:
            _log.info("%s: found the object whose response was lost", operation.spec.name)
            self.created_ids.append(created.id)
        return created

    async def _open(
        self, request: Request, stack: AsyncExitStack, deadline: Deadline, attempt: int
    ) -> OpenResponse:
        """Make an attempt and leave its response open to be read."""
        began = self.clock.monotonic()
        try:
            with deadline.scope(request.timeout):
                response = await stack.enter_async_context(self.backend.send(request))
                body = None if _is_success(response) else await _read_error(response, request)
        except (TimeLimitError, BackendError) as error:
            raise self._connection_failure(error, request, deadline, attempt, began) from error
        info = self._log_response(response, request, attempt, began)
        if body is not None:
            raise self._status_failure(response, body, request, attempt)
        return OpenResponse(
            info,
            response.stream,
            deadline,
            request.timeout,
            response.keeps_timeout,
            self.policy.max_response_bytes,
            request.headers,
        )

    async def _read(self, response: Response, request: Request, attempt: int) -> bytes:
        limit = self.policy.max_response_bytes
        body = await response.read(max_bytes=limit)
        if limit is not None and len(body) > limit:
            raise too_large_error(
                request.operation,
                limit,
                attempts=attempt,
                request_id=request_id_of(response.headers),
            )
        return body

    def _log_response(
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
        error = parse_error(response.status, response.headers, body, now=self.clock.time())
        error.operation = request.operation
        error.attempts = attempt
        return AttemptError(error)

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
        timeout = deadline.error(request.timeout, attempt)
        if isinstance(timeout, DeadlineExceededError):
            raise timeout from None
        phase: Phase = "connect_timeout" if error.unsent else "timeout"
        return AttemptError(timeout, BackendError(str(timeout), phase=phase))

    async def _backoff(
        self, failure: AttemptError, request: Request, deadline: Deadline, attempt: int
    ) -> None:
        """Wait before the next attempt, or raise the error if the call must not be retried."""
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
        _log.info("%s: %s, retrying in %.3g s", request.operation, type(error).__name__, pause_s)
        try:
            await deadline.sleep(pause_s, activity="waiting to retry", attempts=attempt)
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


def _is_success(response: Response) -> bool:
    return 200 <= response.status < 300  # noqa: PLR2004


async def _read_error(response: Response, request: Request) -> bytes:
    """Read as much of an error's body as its message can need."""
    return redact_headers(await response.read(max_bytes=_MAX_ERROR_BYTES), request.headers)


def _open_files(operation: Operation[A]) -> Operation[A]:
    """Record names and sizes of files before they are read, which may move their position."""
    if not operation.spec.multipart:
        return operation
    names = FILE_PARAMS.intersection(operation.spec.body_params)
    files = {name: to_file_source(getattr(operation, name)) for name in names}
    return replace(operation, **files)  # type: ignore[arg-type] # fields of its class


def _raise_if_completed(operation: Operation[Any], error: APIError, lost: APIError) -> None:
    """Raise an error if a request was rejected perhaps because a lost attempt had succeeded."""
    name = operation.spec.name
    if (
        name == "uploads.complete"
        and isinstance(error, APIStatusError)
        and error.status in _REJECTIONS
    ):
        raise UnknownOutcomeError(
            f"{name}: the response was lost ({lost.message}), and repeating the request was "
            f"rejected ({error.message}). Check files.list for the file before uploading again.",
            operation=name,
            attempts=error.attempts,
            request_id=error.request_id,
        ) from error


def _connection_error(error: BackendError, request: Request, attempt: int) -> APIConnectionError:
    timed_out = error.phase in {"timeout", "connect_timeout"}
    kind = APITimeoutError if timed_out else APIConnectionError
    return kind(f"{request.operation}: {error}", operation=request.operation, attempts=attempt)
