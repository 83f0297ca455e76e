"""A signal between tasks that can be given over and over."""

import anyio

__all__ = ["Notifier"]


class Notifier:
    """Wakes those who wait at the moment it is given."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake everybody who waits."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait until it is given the next time."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()
