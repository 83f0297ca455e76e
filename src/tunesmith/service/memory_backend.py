"""Backend over a service in the same process."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Unpack

from tunesmith.clock import VirtualClock
from tunesmith.errors import BackendError, ConfigurationError
from tunesmith.protocol.message import Request, Response
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.service import Service, ServiceOptions

if TYPE_CHECKING:
    from tunesmith.service.persistence.replay_log import PersistentApi

__all__ = ["MemoryBackend"]


class MemoryBackend:
    """Backend over a service in the same process: no key, no network, virtual time.

    It starts no tasks. Leaving the context of a response early ends the response at once.

    Args:
        service: The service; a new one by default.
        state: File that stores the state of the service; created if it does not exist. It is
            locked until `aclose`. Between two uses, as much time passes for the service as in
            reality.
        **options: Keyword arguments of a new `Service`, such as `seed` or `engine`.

    Raises:
        ConfigurationError: The state file is damaged, in use or of another program; or options
            are given beside a service.

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
        state: str | os.PathLike[str] | None = None,
        **options: Unpack[ServiceOptions],
    ) -> None:
        names = ", ".join(f"{name}=" for name, value in options.items() if value is not None)
        if service is not None and (names or state is not None):
            raise ConfigurationError(
                f"{names or 'state='} cannot be combined with service=: pass it to Service(…)"
            )
        self._persistent: PersistentApi | None = None
        if state is not None:
            from tunesmith.service.persistence import replay_log  # noqa: PLC0415 - slow import

            self._persistent = replay_log.PersistentApi(state, **options)
            self.service = self._persistent.service
        else:
            self.service = service or Service(**options)
        self._api = self._persistent or HttpApi(self.service, limiter=self.service.limiter)
        self._is_closed = False

    def __repr__(self) -> str:
        return "<MemoryBackend>"

    @property
    def clock(self) -> VirtualClock:
        """The service's clock; the client sleeps by it."""
        return self.service.clock

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response, None]:
        """Send a request; see `Backend.send`.

        Raises:
            BackendError: The backend is closed.
        """
        if self._is_closed:
            raise BackendError("the backend is closed", phase="closed")
        async with self._api.send(request) as response:
            yield response

    async def aclose(self) -> None:
        """Close the backend and its state file; a service without one keeps its state."""
        self._is_closed = True
        if self._persistent is not None:
            self._persistent.close()
