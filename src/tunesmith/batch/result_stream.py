"""Stream of results for an iteration over a job."""

from collections import deque

import anyio

from tunesmith.batch.results import Result

__all__ = ["Notifier", "ResultStream"]

_MAX_BUFFERED = 1000
"""Maximum number of buffered results; then the job waits for the consumer."""


class Notifier:
    """Event that can be set repeatedly; it wakes the tasks that wait at that moment."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake all waiting tasks."""
        if self._event is not None:
            self._event.set()
            self._event = None

    def get_next(self) -> anyio.Event:
        """Return an event that the next notification sets."""
        if self._event is None:
            self._event = anyio.Event()
        return self._event

    async def wait(self) -> None:
        """Wait for the next notification."""
        await self.get_next().wait()


class ResultStream:
    """Bounded buffer of results, with backpressure.

    Attributes:
        is_wanted: Whether there is a consumer.
    """

    def __init__(self) -> None:
        self._results: deque[Result] = deque()
        self._added = Notifier()
        self._taken = Notifier()
        self._closed = False
        self.is_wanted = False

    def put(self, result: Result) -> None:
        """Add a result, if there is a consumer."""
        if self.is_wanted:
            self._results.append(result)
            self._added.notify()

    async def wait_for_space(self) -> None:
        """Wait until there is room for more results."""
        while len(self._results) >= _MAX_BUFFERED and self.is_wanted:
            await self._taken.wait()

    async def get(self) -> Result | None:
        """Return the next result; None after the last one."""
        while not self._results:
            if self._closed:
                return None
            await self._added.wait()
        result = self._results.popleft()
        self._taken.notify()
        return result

    def discard(self) -> None:
        """Discard all results: they are in the files."""
        self.is_wanted = False
        self._results.clear()
        self._taken.notify()

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._added.notify()
