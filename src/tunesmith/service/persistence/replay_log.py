"""A service that outlives its process: what changes it is written down, and done again on opening.

The service is deterministic: the same requests at the same times give the same state, byte by byte.
So its state is the list of those requests. Trainings, which would take long to do again, are
remembered.
"""

import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
from pydantic_core import from_json

from tunesmith.clock import VirtualClock
from tunesmith.protocol.message import Request, Response
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.http_api import MAX_BODY_BYTES, HttpApi
from tunesmith.service.core.ids import IdKind
from tunesmith.service.core.rate_limits import ServiceLimits
from tunesmith.service.engines.base import Engine
from tunesmith.service.persistence.state_file import LogEntry, StateFile, StateHeader, digest
from tunesmith.service.persistence.training_cache import CachingEngine
from tunesmith.service.service import Service, default_engine

__all__ = ["PersistentApi"]

_READ_ONLY_OPERATIONS = frozenset(
    {
        "completions.create",
        "embeddings.create",
        "moderations.create",
        "fine_tuning.graders.run",
        "fine_tuning.graders.validate",
    }
)
_BAD_REQUEST = 400


class PersistentApi:
    """Answers requests by a service whose state is in a file; see `HttpApi`.

    Between two uses of the file, as much time passes for the service as passes outside, so a job
    goes on while nobody looks.

    Args:
        path: The file; made if there is none, and locked until `close`.
        engine: Trains and generates.
        seed: The seed of the service whose state is begun; a state goes on with its own.
        limits: How much the service lets through from now on.
        behavior: What the service does where nobody knows what the real one does.
        wall_clock: Tells the time outside, in Unix seconds.
        clock: Makes the service's clock, given the time at which the state was begun.

    Raises:
        ConfigurationError: The file is another's, damaged, in use, or of another version.

    Example:
        ```python
        import anyio

        from tunesmith import Request
        from tunesmith.service.persistence.replay_log import PersistentApi


        async def main() -> None:
            wire = PersistentApi("world.tunesmith")
            async with wire.handle(Request("models.list", "GET", "/models")) as response:
                print(response.status)
            wire.close()


        anyio.run(main)
        ```
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        engine: Engine | None = None,
        seed: int = 0,
        limits: ServiceLimits | None = None,
        behavior: ServiceBehavior | None = None,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[float], VirtualClock] = VirtualClock,
    ) -> None:
        self._wall = wall_clock
        self._changing = anyio.Lock()
        self._unwritten: list[LogEntry] = []
        self._happened = 0
        self._drawn: Mapping[IdKind, int] = {}
        self._closed = False
        self._file = StateFile(Path(path), seed=seed, wall_s=wall_clock())
        try:
            entries = list(self._file.entries())
            last = self._file.last
            self.service = Service(
                engine=CachingEngine(engine or default_engine(), self._file),
                clock=clock(entries[0].at if entries else last.at),
                seed=self._file.seed,
                limits=limits,
                behavior=behavior,
            )
            self._wire = HttpApi(self.service)
            if entries:
                self._replay(entries)
            # What was let through once is not counted again.
            self._wire = HttpApi(self.service, limiter=self.service.limiter)
        except BaseException:
            self._file.close()
            raise
        now = self.service.clock.time()
        passed_s = max(wall_clock() - last.wall_s, 0.0)
        self.service.clock.jump(max(last.at - now, 0.0) + passed_s)

    @asynccontextmanager
    async def handle(self, request: Request) -> AsyncGenerator[Response, None]:
        """Answer a request; what it changed is in the file before the answer is handed over."""
        operation = self._wire.match_operation(request)
        if operation is None or operation.spec.method == "GET":
            async with self._wire.handle(request) as response:
                # What is told now has happened, whatever becomes of this process.
                if self.service.schedule.happened != self._happened:
                    self._write()
                yield response
            return
        # Read first: a slow sender must hold up nobody, and can be given up.
        request = replace(request, body=await _read(request))
        if not _is_mutation(operation.spec.name, request):
            async with AsyncExitStack() as stack:
                async with self._changing:  # or it would draw ids in the midst of a change
                    response = await stack.enter_async_context(self._wire.handle(request))
                    self._record_id_counters()
                yield response
            return
        async with self._changing:
            # What is done is written down, whoever is cancelled meanwhile.
            with anyio.CancelScope(shield=True):
                response = await self._record_mutation(request)
        yield response  # pyright: ignore[reportPossiblyUnboundVariable] - a shield swallows nothing

    def close(self) -> None:
        """Write down what time it is, and let others open the file."""
        if self._closed:
            return
        self._closed = True
        try:
            self._write()
        finally:
            self._file.close()

    async def _record_mutation(self, request: Request) -> Response:
        self._record_id_counters()
        # Done at one moment, so that it can be done again to the second.
        with self.service.clock.frozen() as at:
            async with self._wire.handle(request) as response:
                body = await response.read()
            drawn = self.service.ids.counters
        if response.status < _BAD_REQUEST:
            done = LogEntry(
                at,
                drawn,
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
        return replace(response, stream=_single_chunk(body))

    def _record_id_counters(self) -> None:
        # What is due by now may not have drawn its ids yet, or only some of them; then the next
        # entry tells of these too.
        schedule, drawn = self.service.schedule, self.service.ids.counters
        if drawn != self._drawn and not schedule.in_progress:
            self._unwritten.append(LogEntry(schedule.settled_to, drawn))
            self._drawn = drawn

    def _write(self) -> None:
        self._happened = self.service.schedule.happened
        now = StateHeader(self.service.clock.time(), self._wall(), self.service.ids.counters)
        self._file.write(self._unwritten, now)
        self._unwritten = []

    def _replay(self, entries: Iterable[LogEntry]) -> None:
        async def do_all() -> None:
            for entry in entries:
                await self._replay_entry(entry)

        # A loop of its own: this one may be running, and its clock must not wait for the past.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(anyio.run, do_all).result()

    async def _replay_entry(self, entry: LogEntry) -> None:
        service = self.service
        service.clock.jump(max(entry.at - service.clock.time(), 0.0))
        if entry.method:
            headers = {"content-type": entry.content_type} if entry.content_type else {}
            request = Request(
                "", entry.method, entry.path, entry.query, headers, entry.body or None
            )
            async with self._wire.handle(request) as response:
                if digest(await response.read()) != entry.answer:
                    raise self._file.replay_mismatch()
        else:
            await service.schedule.run_due()
        service.ids.restore_counters(entry.id_counters)


def _is_mutation(name: str, request: Request) -> bool:
    if name != "chat.completions.create":
        return name not in _READ_ONLY_OPERATIONS
    try:
        asked: object = from_json(cast("bytes", request.body))
    except ValueError:
        return False
    return isinstance(asked, dict) and bool(cast("dict[str, object]", asked).get("store"))


async def _read(request: Request) -> bytes:
    """Read a body; one that will be refused for its size only as far as that takes."""
    read = bytearray()
    async with aclosing(request.chunks()) as chunks:
        async for chunk in chunks:
            read += chunk
            if len(read) > MAX_BODY_BYTES:
                break
    return bytes(read)


async def _single_chunk(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
