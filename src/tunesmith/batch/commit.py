"""Group commit: what was written is made safe from the death of the machine, many rows at once."""

from collections.abc import Callable

import anyio
import anyio.to_thread

from tunesmith.batch.signal import Notifier

__all__ = ["GroupCommit"]


class GroupCommit:
    """Calls for a sync a while after something was written, or sooner if much was.

    Args:
        sync: Makes safe what was written; blocks.
        interval_s: Seconds that what was written may be unsafe.
        rows: Rows that may be unsafe.
    """

    def __init__(self, sync: Callable[[], None], *, interval_s: float, rows: int) -> None:
        self._sync = sync
        self._interval_s = interval_s
        self._rows = rows
        self._unsafe = 0
        self._is_dirty = False
        self._written = Notifier()
        self._full = Notifier()

    def mark_dirty(self, rows: int = 1) -> None:
        """Note that the outcomes of so many rows were written; 0 if it was an intent."""
        self._unsafe += rows
        if not self._is_dirty:
            self._is_dirty = True
            self._written.notify()
        elif self._unsafe >= self._rows:
            self._full.notify()

    async def run(self) -> None:
        """Commit until cancelled.

        Raises:
            DatasetError: The disk is full, or broken.
        """
        while True:
            if not self._is_dirty:
                await self._written.wait()
            if self._unsafe < self._rows:
                # By real time: disks know no other.
                with anyio.move_on_after(self._interval_s):
                    await self._full.wait()
            self._unsafe, self._is_dirty = 0, False
            await anyio.to_thread.run_sync(self._sync)
