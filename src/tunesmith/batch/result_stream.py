"""Results on their way to whoever iterates over a job."""

from collections import deque

import anyio

from tunesmith.batch.results import Result

__all__ = ["Notifier", "ResultStream"]

_MAX_BUFFERED = 1000
"""So many results may wait; then the job waits for whoever takes them."""


class Notifier:
    """Wakes those who wait at the moment it is given."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake everybody who waits."""
        if self._event is not None:
            self._event.set()
            self._event = None

    def get_next(self) -> anyio.Event:
        """Return an event that the next notification sets, also before anyone waits for it."""
        if self._event is None:
            self._event = anyio.Event()
        return self._event

    async def wait(self) -> None:
        """Wait for the next notification."""
        await self.get_next().wait()


class ResultStream:
    """Holds results until they are taken; a job does not run away from a slow taker.

    Attributes:
        is_wanted: Whether anybody takes results.
    """

    def __init__(self) -> None:
        self._results: deque[Result] = deque()
        self._given = Notifier()
        self._taken = Notifier()
        self._closed = False
        self.is_wanted = False

    def put(self, result: Result) -> None:
        """Hand over a result."""
        if self.is_wanted:
            self._results.append(result)
            self._given.notify()

    async def wait_for_space(self) -> None:
        """Wait until there is room for more results."""
        while len(self._results) >= _MAX_BUFFERED and self.is_wanted:
            await self._taken.wait()

    async def get(self) -> Result | None:
        """Take the next result; None after the last one."""
        while not self._results:
            if self._closed:
                return None
            await self._given.wait()
        result = self._results.popleft()
        self._taken.notify()
        return result

    def discard(self) -> None:
        """Take no more results: they are in the files."""
        self.is_wanted = False
        self._results.clear()
        self._taken.notify()

    def close(self) -> None:
        """Note that there will be no more."""
        self._closed = True
        self._given.notify()
