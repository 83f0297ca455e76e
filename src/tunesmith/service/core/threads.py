"""Work that takes real time: it leaves the event loop free, and virtual time stands still."""

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from tunesmith.clock import VirtualClock

__all__ = ["run_in_thread"]

T = TypeVar("T")


async def run_in_thread(clock: VirtualClock, func: Callable[[], T]) -> T:
    """Do something in a worker thread.

    It is not abandoned half-way: where the caller is cancelled, the work is done to its end and
    its result is returned all the same, so that none of it is lost.

    Args:
        clock: Stands still meanwhile.
        func: What to do; it should be short.
    """
    with clock.hold():
        return await anyio.to_thread.run_sync(func)
