"""Work that takes real time: it leaves the event loop free, and virtual time stands still."""

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from tunesmith.clock import VirtualClock

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(clock: VirtualClock, work: Callable[[], T]) -> T:
    """Do something in a worker thread.

    It is not abandoned half-way: where the caller is cancelled, the work is done to its end and
    its result is returned all the same, so that none of it is lost.

    Args:
        clock: Stands still meanwhile.
        work: What to do; it should be short.
    """
    with clock.busy():
        return await anyio.to_thread.run_sync(work)
