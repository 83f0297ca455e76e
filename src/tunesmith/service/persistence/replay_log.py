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
from tunesmith.service.core.behavior import Assumptions
from tunesmith.service.core.http_api import MAX_BODY_BYTES, Wire
from tunesmith.service.core.ids import Kind
from tunesmith.service.core.rate_limits import Limits
from tunesmith.service.engines.base import Engine
from tunesmith.service.persistence.state_file import Entry, Moment, StateFile, digest_of
from tunesmith.service.persistence.training_cache import RememberingEngine
from tunesmith.service.service import Service, default_engine

__all__ = ["SavedWire"]

_CHANGE_NOTHING = frozenset(
    {
        "completions.create",
        "embeddings.create",
        "moderations.create",
        "fine_tuning.graders.run",
        "fine_tuning.graders.validate",
    }
)
_BAD_REQUEST = 400


class SavedWire:
    """Answers requests by a service whose state is in a file; see `Wire`.

    Between two uses of the file, as much time passes for the service as passes outside, so a job
    goes on while nobody looks.

    Args:
        path: The file; made if there is none, and locked until `close`.
        engine: Trains and generates.
        seed: The seed of the service whose state is begun; a state goes on with its own.
        limits: How much the service lets through from now on.
        assumptions: What the service does where nobody knows what the real one does.
        wall: Tells the time outside, in Unix seconds.
        clock: Makes the service's clock, given the time at which the state was begun.

    Raises:
        ConfigurationError: The file is another's, damaged, in use, or of another version.

    Example:
        ```python
        import anyio

        from tunesmith import Request
        from tunesmith.service.persistence.replay_log import SavedWire


        async def main() -> None:
            wire = SavedWire("world.tunesmith")
            async with wire.respond(Request("models.list", "GET", "/models")) as response:
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
        limits: Limits | None = None,
        assumptions: Assumptions | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[float], VirtualClock] = VirtualClock,
    ) -> None:
        self._wall = wall
        self._changing = anyio.Lock()
        self._unwritten: list[Entry] = []
        self._happened = 0
        self._drawn: Mapping[Kind, int] = {}
        self._closed = False
        self._file = StateFile(Path(path), seed=seed, wall_s=wall())
        try:
            entries = list(self._file.entries())
            last = self._file.last
            self.service = Service(
                engine=RememberingEngine(engine or default_engine(), self._file),
                clock=clock(entries[0].at if entries else last.at),
                seed=self._file.seed,
                limits=limits,
                assumptions=assumptions,
            )
            self._wire = Wire(self.service)
            if entries:
                self._do_again(entries)
            # What was let through once is not counted again.
            self._wire = Wire(self.service, limiter=self.service.limiter)
        except BaseException:
            self._file.close()
            raise
        now = self.service.clock.time()
        passed_s = max(wall() - last.wall_s, 0.0)
        self.service.clock.jump(max(last.at - now, 0.0) + passed_s)

    @asynccontextmanager
    async def respond(self, request: Request) -> AsyncGenerator[Response, None]:
        """Answer a request; what it changed is in the file before the answer is handed over."""
        operation = self._wire.operation_of(request)
        if operation is None or operation.spec.method == "GET":
            async with self._wire.respond(request) as response:
                # What is told now has happened, whatever becomes of this process.
                if self.service.schedule.happened != self._happened:
                    self._write()
                yield response
            return
        # Read first: a slow sender must hold up nobody, and can be given up.
        request = replace(request, body=await _read(request))
        if not _may_change(operation.spec.name, request):
            async with AsyncExitStack() as stack:
                async with self._changing:  # or it would draw ids in the midst of a change
                    response = await stack.enter_async_context(self._wire.respond(request))
                    self._note_drawing()
                yield response
            return
        async with self._changing:
            # What is done is written down, whoever is cancelled meanwhile.
            with anyio.CancelScope(shield=True):
                response = await self._change(request)
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

    async def _change(self, request: Request) -> Response:
        self._note_drawing()
        # Done at one moment, so that it can be done again to the second.
        with self.service.clock.stopped() as at:
            async with self._wire.respond(request) as response:
                body = await response.read()
            drawn = self.service.ids.drawn
        if response.status < _BAD_REQUEST:
            done = Entry(
                at,
                drawn,
                method=request.method,
                path=request.path,
                query=request.query,
                content_type=request.headers.get("content-type", ""),
                body=b"".join([chunk async for chunk in request.chunks()]),
                answer=digest_of(body),
            )
            self._unwritten.append(done)
        else:
            self._note_drawing()
        self._write()
        return replace(response, stream=_whole(body))

    def _note_drawing(self) -> None:
        # What is due by now may not have drawn its ids yet, or only some of them; then the next
        # entry tells of these too.
        schedule, drawn = self.service.schedule, self.service.ids.drawn
        if drawn != self._drawn and not schedule.in_progress:
            self._unwritten.append(Entry(schedule.settled_to, drawn))
            self._drawn = drawn

    def _write(self) -> None:
        self._happened = self.service.schedule.happened
        now = Moment(self.service.clock.time(), self._wall(), self.service.ids.drawn)
        self._file.write(self._unwritten, now)
        self._unwritten = []

    def _do_again(self, entries: Iterable[Entry]) -> None:
        async def do_all() -> None:
            for entry in entries:
                await self._do_one_again(entry)

        # A loop of its own: this one may be running, and its clock must not wait for the past.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(anyio.run, do_all).result()

    async def _do_one_again(self, entry: Entry) -> None:
        service = self.service
        service.clock.jump(max(entry.at - service.clock.time(), 0.0))
        if entry.method:
            headers = {"content-type": entry.content_type} if entry.content_type else {}
            request = Request(
                "", entry.method, entry.path, entry.query, headers, entry.body or None
            )
            async with self._wire.respond(request) as response:
                if digest_of(await response.read()) != entry.answer:
                    raise self._file.does_not_fit()
        else:
            await service.schedule.settle()
        service.ids.go_on_from(entry.drawn)


def _may_change(name: str, request: Request) -> bool:
    if name != "chat.completions.create":
        return name not in _CHANGE_NOTHING
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


async def _whole(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
