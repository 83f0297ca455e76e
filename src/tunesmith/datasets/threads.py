"""Blocking work done beside the event loop."""

from collections.abc import Callable
from typing import TypeVar

import anyio.from_thread
import anyio.to_thread

__all__ = ["CancellationCheck", "no_checkpoint", "run_in_thread"]

T = TypeVar("T")

CancellationCheck = Callable[[], None]
"""Called between chunks: raises if the caller has been cancelled."""


def no_checkpoint() -> None:
    """The checkpoint of work that nobody can cancel."""


async def run_in_thread(work: Callable[[CancellationCheck], T]) -> T:
    """Do `work` in a thread; when the caller is cancelled, it stops at its next checkpoint."""
    return await anyio.to_thread.run_sync(work, anyio.from_thread.check_cancelled)
