"""Successful responses, open to be read."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from tunesmith.calls.deadline import Deadline, TimeLimitError
from tunesmith.errors import (
    BackendError,
    InvalidResponseError,
    StreamInterruptedError,
    TunesmithError,
)
from tunesmith.protocol.message import redact_headers
from tunesmith.types.response import ResponseInfo

__all__ = ["OpenResponse", "check_whole", "too_large_error"]

_WHOLE_RANGE = re.compile(r"bytes 0-(\d{1,18})/(\d{1,18})", re.ASCII)


def too_large_error(
    operation: str, max_bytes: int, *, attempts: int, request_id: str | None
) -> InvalidResponseError:
    """Return the error for a response, or an event, that exceeds the limit for memory."""
    return InvalidResponseError(
        f"{operation}: the response is larger than {max_bytes:,} bytes; to allow larger ones, set "
        "max_response_bytes",
        operation=operation,
        attempts=attempts,
        request_id=request_id,
    )


def check_whole(operation: str, info: ResponseInfo) -> None:
    """Check that a response to a request without `range` is not a part of the content.

    Raises:
        InvalidResponseError: It is a part.
    """
    span = _WHOLE_RANGE.fullmatch(info.headers.get("content-range", ""))
    is_whole = span is not None and int(span[1]) + 1 == int(span[2])
    if info.status == 206 and not is_whole:  # noqa: PLR2004
        raise InvalidResponseError(
            f"{operation}: the service sent a part of the content, although all was requested",
            status=info.status,
            operation=operation,
            attempts=info.attempts,
            request_id=info.request_id,
        )


@dataclass(frozen=True, slots=True)
class OpenResponse:
    """Successful response, open to be read.

    Args:
        info: Metadata of the response.
        stream: Chunks of the body.
        deadline: Deadline of the call.
        timeout_s: Seconds to wait for each chunk.
        keeps_timeout: Whether the stream enforces the timeout itself.
        max_bytes: Maximum size of what is read into memory at a time; None for no limit.
        request_headers: Headers of the request, which errors must not show.
    """

    info: ResponseInfo
    stream: AsyncIterator[bytes]
    deadline: Deadline
    timeout_s: float | None
    keeps_timeout: bool
    max_bytes: int | None = None
    request_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    async def next_chunk(self) -> bytes | None:
        """Return the next chunk of the body; None at its end.

        Raises:
            StreamInterruptedError: The body ended early.
            APITimeoutError: The chunk was not received within the timeout.
            DeadlineExceededError: The deadline passed.
        """
        try:
            with self.deadline.scope(None if self.keeps_timeout else self.timeout_s):
                return await anext(self.stream, None)
        except TimeLimitError:
            raise self._timeout_error() from None
        except BackendError as error:
            if error.phase == "timeout":
                raise self._timeout_error() from error
            raise self.interrupted(str(error)) from error

    # Not a generator, which would stay open until garbage collection when left early.
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def _timeout_error(self) -> TunesmithError:
        return self.deadline.error(
            self.timeout_s, self.info.attempts, progress="the response stopped"
        )

    def redact(self, data: bytes) -> bytes:
        """Return data without the headers of the request, for errors: some servers echo them."""
        return redact_headers(data, self.request_headers)

    def interrupted(self, reason: str) -> StreamInterruptedError:
        """Return the error for a response that ended early."""
        return StreamInterruptedError(
            f"{self.deadline.operation}: the response was interrupted: {reason}",
            operation=self.deadline.operation,
            attempts=self.info.attempts,
            request_id=self.info.request_id,
        )

    def check_size(self, size: int) -> None:
        """Check the size of what is being collected in memory, such as an event.

        Raises:
            InvalidResponseError: It exceeds the limit.
        """
        if self.max_bytes is not None and size > self.max_bytes:
            raise too_large_error(
                self.deadline.operation,
                self.max_bytes,
                attempts=self.info.attempts,
                request_id=self.info.request_id,
            )
