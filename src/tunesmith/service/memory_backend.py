"""Backend over a service in the same process."""

import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Unpack

from tunesmith.clock import VirtualClock
from tunesmith.errors import BackendError, ConfigurationError
from tunesmith.protocol.message import Request, Response
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.service import Service, ServiceOptions

__all__ = ["MemoryBackend"]


_DAY_S = 86_400


def _start_of_today() -> float:
    """Return the last midnight: a date that readers expect, the same in all runs of a day."""
    return float(time.time() // _DAY_S * _DAY_S)


class MemoryBackend:
    """Backend over a service in the same process: no key, no network, virtual time.

    Virtual time begins at midnight of today, unless a service, state or clock is passed. It starts
    no tasks. Leaving the context of a response early ends the response at once.

    Args:
        service: The service; a new one by default.
        state: Folder that stores the state of the service; created if it does not exist. It is
            locked until `aclose`. Between two uses, as much time passes for the service as in
            reality.
        **options: Keyword arguments of a new `Service`, such as `seed` or `engine`.

    Raises:
        ConfigurationError: The state is damaged, in use or of another program; or options are
            given beside a service.

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
        if state is not None:
            if options.get("store") is not None:
                raise ConfigurationError("store= cannot be combined with state=")
            from tunesmith.service.core.sqlite_store import SqliteStore  # noqa: PLC0415 - slow import

            options["store"] = SqliteStore(state)
        elif service is None and options.get("store") is None:
            options.setdefault("clock", VirtualClock(_start_of_today()))
        try:
            self.service = service or Service(**options)
        except BaseException:
            store = options.get("store")
            if state is not None and store is not None:
                store.close()
            raise
        self._closes_store = service is None
        self._api = HttpApi(
            self.service, limiter=self.service.limiter, upstream=self.service.upstream
        )
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
        """Close the backend and its state; a service of the caller keeps running."""
        if self._closes_store and not self._is_closed:
            self._is_closed = True
            await self.service.aclose()
        self._is_closed = True
