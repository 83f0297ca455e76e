"""A good response, open to be read."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from tunesmith.calls.deadline import Deadline, TimeLimitError
from tunesmith.errors import BackendError, StreamInterruptedError, TunesmithError
from tunesmith.types.response import ResponseInfo

__all__ = ["OpenResponse"]


@dataclass(frozen=True, slots=True)
class OpenResponse:
    """A good response, open to be read.

    Args:
        info: What is known of it.
        stream: The body's chunks.
        deadline: The end of the call.
        timeout_s: Seconds to wait for each chunk.
        keeps_timeout: Whether the stream itself waits no longer than that.
    """

    info: ResponseInfo
    stream: AsyncIterator[bytes]
    deadline: Deadline
    timeout_s: float | None
    keeps_timeout: bool

    async def next_chunk(self) -> bytes | None:
        """Wait for a chunk of the body; None at its end.

        Raises:
            StreamInterruptedError: It broke off.
            APITimeoutError: The chunk did not come in time.
            DeadlineExceededError: The time of the whole call is up.
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

    # Not a generator: one that is left early waits for the garbage collector.
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def _timeout_error(self) -> TunesmithError:
        return self.deadline.error(
            self.timeout_s, self.info.attempts, progress="the answer began, and no more of it came"
        )

    def interrupted(self, reason: str) -> StreamInterruptedError:
        """Make the error that says the answer broke off."""
        return StreamInterruptedError(
            f"{self.deadline.operation}: the answer broke off: {reason}",
            operation=self.deadline.operation,
            attempts=self.info.attempts,
            request_id=self.info.request_id,
        )
