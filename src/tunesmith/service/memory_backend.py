"""The door in process: a backend over a service, without a socket."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tunesmith.clock import VirtualClock
from tunesmith.errors import BackendError, ConfigurationError
from tunesmith.protocol.message import Request, Response
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.core.rate_limits import ServiceLimits
from tunesmith.service.engines.base import Engine
from tunesmith.service.service import Service

if TYPE_CHECKING:
    from tunesmith.service.persistence.replay_log import PersistentApi

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
        limits: How much a new service lets through; by default everything.
        behavior: What a new service does where nobody knows what the real one does.
        state: A file in which the service outlives the process, made if there is none. It is
            locked until `aclose`, and closes with it. Between two uses, as much time passes for
            the service as passes outside.

    Raises:
        ConfigurationError: The state file is another's, damaged or in use; or what belongs to a
            new service is given beside one that is there.

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
        limits: ServiceLimits | None = None,
        behavior: ServiceBehavior | None = None,
        state: str | os.PathLike[str] | None = None,
    ) -> None:
        self._saved: PersistentApi | None = None
        anew = (engine, clock, seed or None, limits, behavior)
        if service is not None and any(option is not None for option in anew):
            raise ConfigurationError(
                "engine=, clock=, seed=, limits= and behavior= are for a new service: leave "
                "them out beside service=, or give them to Service(…)"
            )
        if state is None:
            self.service = service or Service(
                engine=engine, clock=clock, seed=seed, limits=limits, behavior=behavior
            )
        elif service is not None or clock is not None:
            raise ConfigurationError(
                "state= makes a service with a clock: leave service= and clock= out"
            )
        else:
            from tunesmith.service.persistence import replay_log  # noqa: PLC0415 - costs when used

            self._saved = replay_log.PersistentApi(
                state, engine=engine, seed=seed, limits=limits, behavior=behavior
            )
            self.service = self._saved.service
        self._wire = self._saved or HttpApi(self.service, limiter=self.service.limiter)
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
        async with self._wire.handle(request) as response:
            yield response

    async def aclose(self) -> None:
        """Take no more requests; the service keeps its state, in its file if it has one."""
        self._closed = True
        if self._saved is not None:
            self._saved.close()
