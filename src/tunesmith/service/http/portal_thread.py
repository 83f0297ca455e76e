"""An event loop in a thread, for callers that are synchronous."""

import threading
from concurrent.futures import Future

import anyio
from anyio.from_thread import BlockingPortal

__all__ = ["BlockingPortalThread"]


class BlockingPortalThread:
    """Runs an event loop in a thread of its own, from the first time it is needed.

    It is a daemon: a program whose client is never closed ends all the same.
    """

    def __init__(self) -> None:
        self._portal: BlockingPortal | None = None
        self._lock = threading.Lock()

    def portal(self) -> BlockingPortal:
        """Give the way into the loop."""
        with self._lock:
            if self._portal is None:
                started: Future[BlockingPortal] = Future()
                threading.Thread(
                    target=anyio.run, args=(_run_portal, started), name="tunesmith", daemon=True
                ).start()
                self._portal = started.result()
            return self._portal

    def stop(self) -> None:
        """End the thread; it starts anew when it is needed again."""
        with self._lock:
            portal, self._portal = self._portal, None
        if portal is not None:
            portal.call(portal.stop, True)


async def _run_portal(started: "Future[BlockingPortal]") -> None:
    async with BlockingPortal() as portal:
        started.set_result(portal)
        await portal.sleep_until_stopped()
