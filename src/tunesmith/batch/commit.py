"""Group commit: many rows are made safe from a power loss by one sync."""

from collections.abc import Awaitable, Callable

import anyio

from tunesmith.batch.result_stream import Notifier

__all__ = ["GroupCommit"]


class GroupCommit:
    """Sync some time after a write, or sooner after many writes.

    Args:
        sync: Syncs the files.
        interval_s: Maximum seconds that a write may be unsafe.
        rows: Maximum number of unsafe outcomes.
    """

    def __init__(
        self, sync: Callable[[], Awaitable[None]], *, interval_s: float, rows: int
    ) -> None:
        self._sync = sync
        self._interval_s = interval_s
        self._rows = rows
        self._unsafe = 0
        self._is_dirty = False
        self._written = Notifier()
        self._full = Notifier()
        self._synced = Notifier()
        self._syncs = 0

    def mark_dirty(self, rows: int = 1) -> None:
        """Count written outcomes; 0 for entries of the journal."""
        self._unsafe += rows
        if not self._is_dirty:
            self._is_dirty = True
            self._written.notify()
        elif self._unsafe >= self._rows:
            self._full.notify()

    async def wait_until_safe(self) -> None:
        """Wait until everything written so far is safe."""
        # A sync that has begun may have missed it: the one after it has not. `_syncs` counts
        # beginnings and ends, so it is odd during a sync.
        target = self._syncs + (3 if self._syncs % 2 else 2)
        self.mark_dirty(self._rows)
        while self._syncs < target:
            await self._synced.wait()

    async def run(self) -> None:
        """Commit until cancelled.

        Raises:
            DatasetError: The disk is full, or broken.
        """
        while True:
            if not self._is_dirty:
                await self._written.wait()
            if self._unsafe < self._rows:
                # By real time: disks have no other.
                with anyio.move_on_after(self._interval_s):
                    await self._full.wait()
            self._unsafe, self._is_dirty = 0, False
            self._syncs += 1
            await self._sync()
            self._syncs += 1
            self._synced.notify()
