"""The door in process: a backend over a service, without a socket."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request, Response
from tunesmith.service.clock import VirtualClock
from tunesmith.service.engines.base import Engine
from tunesmith.service.service import Service
from tunesmith.service.wire import Wire

__all__ = ["MemoryBackend"]


class MemoryBackend:
    """Answers requests by a service in the same process; no key, no network, virtual time.

    It makes no tasks, so there is nothing to leave behind. Where the response's context is left
    early, the service stops answering at once.

    Args:
        service: The service; by default a new one.
        engine: What a new service trains and generates with.
        clock: The clock of a new service.
        seed: The seed of a new service: the same one gives the same answers, byte by byte.

    Example:
        ```python
        async with AsyncClient(backend=MemoryBackend(seed=1)) as client:
            completion = await client.completions.create(model="davinci-002", prompt="Kant was")
        ```
    """

    def __init__(
        self,
        service: Service | None = None,
        *,
        engine: Engine | None = None,
        clock: VirtualClock | None = None,
        seed: int = 0,
    ) -> None:
        self.service = service or Service(engine=engine, clock=clock, seed=seed)
        self._wire = Wire(self.service, limiter=self.service.limiter)
        self._closed = False

    def __repr__(self) -> str:
        return "<MemoryBackend>"

    @property
    def clock(self) -> VirtualClock:
        """The service's clock: the client sleeps by it."""
        return self.service.clock

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response, None]:
        """Send a request; see `Backend.send`.

        Raises:
            BackendError: The backend is closed.
        """
        if self._closed:
            raise BackendError("the backend is closed", phase="closed")
        async with self._wire.respond(request) as response:
            yield response

    async def aclose(self) -> None:
        """Take no more requests; the service keeps its state."""
        self._closed = True
