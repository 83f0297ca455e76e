"""Event loop in a thread, for synchronous callers."""

import threading
from concurrent.futures import Future

import anyio
from anyio.from_thread import BlockingPortal

__all__ = ["BlockingPortalThread"]


class BlockingPortalThread:
    """Event loop in a thread of its own, which starts at its first use.

    The thread is a daemon, so that a program ends even if its client is never closed.
    """

    def __init__(self) -> None:
        self._portal: BlockingPortal | None = None
        self._lock = threading.Lock()

    def portal(self) -> BlockingPortal:
        """Return the portal to the event loop."""
        with self._lock:
            if self._portal is None:
                started: Future[BlockingPortal] = Future()
                threading.Thread(
                    target=anyio.run, args=(_run_portal, started), name="tunesmith", daemon=True
                ).start()
                self._portal = started.result()
            return self._portal

    def stop(self) -> None:
        """Stop the thread; it starts again at its next use."""
        with self._lock:
            portal, self._portal = self._portal, None
        if portal is not None:
            portal.call(portal.stop, True)


async def _run_portal(started: "Future[BlockingPortal]") -> None:
    async with BlockingPortal() as portal:
        started.set_result(portal)
        await portal.sleep_until_stopped()
