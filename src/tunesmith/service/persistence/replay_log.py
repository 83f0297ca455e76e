"""Persistence of a service as a log of requests, which are replayed when it is opened.

The service is deterministic: equal requests at equal times give equal states, byte by byte.
Trainings, which would take long to repeat, are cached.
"""

import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Unpack, cast

import anyio
from pydantic_core import from_json

from tunesmith.clock import VirtualClock
from tunesmith.errors import ConfigurationError
from tunesmith.protocol.message import Request, Response
from tunesmith.service.core.http_api import MAX_BODY_BYTES, HttpApi
from tunesmith.service.core.ids import IdKind
from tunesmith.service.persistence.state_file import LogEntry, StateFile, StateHeader, digest
from tunesmith.service.persistence.training_cache import CachingEngine
from tunesmith.service.service import Service, ServiceOptions, default_engine

__all__ = ["PersistentApi"]

_READ_ONLY_OPERATIONS = frozenset(
    {
        "completions.create",
        "embeddings.create",
        "moderations.create",
        "responses.input_tokens.count",
        "fine_tuning.graders.run",
        "fine_tuning.graders.validate",
    }
)
_STORED_BY_REQUEST = {"chat.completions.create": False, "responses.create": True}
"""Operations with a parameter `store`, and its default."""
_BAD_REQUEST = 400


class PersistentApi:
    """HTTP interface of a service whose state is in a file; see `HttpApi`.

    Between two uses of the file, as much time passes for the service as in reality, so jobs
    continue meanwhile.

    Args:
        path: The file; created if it does not exist, and locked until `close`.
        wall_clock: The real time, in Unix seconds.
        **options: Keyword arguments of `Service`, without `clock` and `store`. The seed is that of
            a new state.

    Raises:
        ConfigurationError: The file is of another program or version, damaged or in use.

    Example:
        ```python
        import anyio

        from tunesmith import Request
        from tunesmith.service.persistence.replay_log import PersistentApi


        async def main() -> None:
            api = PersistentApi("world.tunesmith")
            async with api.send(Request("models.list", "GET", "/models")) as response:
                print(response.status)
            api.close()


        anyio.run(main)
        ```
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        wall_clock: Callable[[], float] = time.time,
        **options: Unpack[ServiceOptions],
    ) -> None:
        if options.get("clock") is not None or options.get("store") is not None:
            raise ConfigurationError("state= brings its own clock and store: omit clock=, store=")
        self._wall = wall_clock
        self._changing = anyio.Lock()
        self._unwritten: list[LogEntry] = []
        self._n_written = 0
        self._counters: Mapping[IdKind, int] = {}
        self._closed = False
        self._file = StateFile(Path(path), seed=options.get("seed", 0), wall_s=wall_clock())
        try:
            entries = list(self._file.entries())
            last = self._file.last
            options["clock"] = VirtualClock(entries[0].timestamp if entries else last.timestamp)
            options["engine"] = CachingEngine(options.get("engine") or default_engine(), self._file)
            options["seed"] = self._file.seed
            self.service = Service(**options)
            self._api = HttpApi(self.service)
            if entries:
                self._replay(entries)
            # Limits are not applied again to replayed requests.
            self._api = HttpApi(self.service, limiter=self.service.limiter)
        except BaseException:
            self._file.close()
            raise
        now = self.service.clock.time()
        passed_s = max(wall_clock() - last.wall_s, 0.0)
        self.service.clock.jump(max(last.timestamp - now, 0.0) + passed_s)

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Response, None]:
        """Execute a request; its changes are in the file before the response is returned."""
        operation = self._api.match_operation(request)
        if operation is None or operation.spec.method == "GET":
            async with self._api.send(request) as response:
                # State that a response shows must be in the file.
                if self.service.scheduler.n_executed != self._n_written:
                    self._write()
                yield response
            return
        # Read first: a slow sender must not block others, and can be cancelled.
        request = replace(request, body=await _read(request))
        if not _is_mutation(operation.spec.name, request):
            async with AsyncExitStack() as stack:
                async with self._changing:  # its ids must not be mixed with those of a change
                    response = await stack.enter_async_context(self._api.send(request))
                    self._record_id_counters()
                yield response
            return
        async with self._changing:
            # A change is written even if the caller is cancelled.
            with anyio.CancelScope(shield=True):
                response = await self._record_mutation(request)
        yield response  # pyright: ignore[reportPossiblyUnboundVariable] - a shield never cancels

    def close(self) -> None:
        """Write the current time and unlock the file."""
        if self._closed:
            return
        self._closed = True
        try:
            self._write()
        finally:
            self._file.close()

    async def _record_mutation(self, request: Request) -> Response:
        self._record_id_counters()
        # Executed at one moment, so that a replay is exact.
        with self.service.clock.frozen() as timestamp:
            async with self._api.send(request) as response:
                body = await response.read()
            counters = self.service.ids.counters
        if response.status < _BAD_REQUEST:
            done = LogEntry(
                timestamp,
                counters,
                method=request.method,
                path=request.path,
                query=request.query,
                content_type=request.headers.get("content-type", ""),
                body=b"".join([chunk async for chunk in request.chunks()]),
                answer=digest(body),
            )
            self._unwritten.append(done)
        else:
            self._record_id_counters()
        self._write()
        return Response.from_bytes(response.status, response.headers, body)

    def _record_id_counters(self) -> None:
        # Actions in progress may have drawn only some of their ids; the next entry has them all.
        scheduler, counters = self.service.scheduler, self.service.ids.counters
        if counters != self._counters and not scheduler.in_progress:
            self._unwritten.append(LogEntry(scheduler.settled_to, counters))
            self._counters = counters

    def _write(self) -> None:
        self._n_written = self.service.scheduler.n_executed
        now = StateHeader(self.service.clock.time(), self._wall(), self.service.ids.counters)
        self._file.write(self._unwritten, now)
        self._unwritten = []

    def _replay(self, entries: Iterable[LogEntry]) -> None:
        async def replay_all() -> None:
            for entry in entries:
                await self._replay_entry(entry)

        # In an event loop of its own, since the current one may be running.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(anyio.run, replay_all).result()

    async def _replay_entry(self, entry: LogEntry) -> None:
        service = self.service
        service.clock.jump(max(entry.timestamp - service.clock.time(), 0.0))
        if entry.method:
            headers = {"content-type": entry.content_type} if entry.content_type else {}
            request = Request(
                "", entry.method, entry.path, entry.query, headers, entry.body or None
            )
            async with self._api.send(request) as response:
                if digest(await response.read()) != entry.answer:
                    raise self._file.replay_mismatch()
        else:
            await service.scheduler.run_due()
        service.ids.restore_counters(entry.id_counters)


def _is_mutation(name: str, request: Request) -> bool:
    if name not in _STORED_BY_REQUEST:
        return name not in _READ_ONLY_OPERATIONS
    try:
        body: object = from_json(cast("bytes", request.body))
    except ValueError:
        return False
    if not isinstance(body, dict):
        return False
    return bool(cast("dict[str, object]", body).get("store", _STORED_BY_REQUEST[name]))


async def _read(request: Request) -> bytes:
    """Read a body; no more than is needed to refuse one that is too large."""
    content = bytearray()
    async with aclosing(request.chunks()) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                break
    return bytes(content)
