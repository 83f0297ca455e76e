"""Backends around a backend: they look on, or let something go wrong."""

import json
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel

from tunesmith.backends.base import clock_of
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request


class Wrapper:
    """Passes everything on, and remembers what was asked."""

    def __init__(self, inner):
        self.inner = inner
        self.requests: list[Request] = []

    @asynccontextmanager
    async def send(self, request: Request):
        await anyio.lowlevel.checkpoint()  # what is cancelled already is not asked for
        self.requests.append(request)
        async with self.inner.send(request) as response:
            yield response

    async def aclose(self):
        await self.inner.aclose()

    @property
    def asked(self) -> list[str]:
        """The names of the operations that were asked for, in order."""
        return [request.operation for request in self.requests]


class Crowd(Wrapper):
    """Counts how many calls of each operation are under way at once; holds them up until so many
    are, so that the count does not depend on how quick the service is."""

    def __init__(self, inner, **expected):
        super().__init__(inner)
        self.expected = {name.replace("__", "."): count for name, count in expected.items()}
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._full = anyio.Event()

    @asynccontextmanager
    async def send(self, request):
        name = request.operation
        self.now[name] += 1
        self.most[name] = max(self.most[name], self.now[name])
        if name in self.expected:
            if self.now[name] >= self.expected[name]:
                self._full.set()
            with anyio.fail_after(10):
                await self._full.wait()
        try:
            async with super().send(request) as response:
                yield response
        finally:
            self.now[name] -= 1


class Breaking(Wrapper):
    """Loses some calls, by number: `{"files.create": {1: "connect"}}` loses the first of them.

    Where the phase is `read` the service has done what was asked, and the answer is lost.
    """

    def __init__(self, inner, losses):
        super().__init__(inner)
        self.losses = losses
        self.count: Counter[str] = Counter()

    @asynccontextmanager
    async def send(self, request):
        name = request.operation
        self.count[name] += 1
        losses = self.losses.get(name, {})
        phase = losses(self.count[name]) if callable(losses) else losses.get(self.count[name])
        if phase == "connect":
            await anyio.lowlevel.checkpoint()
            self.requests.append(request)
            raise BackendError("the connection was refused", phase="connect")
        async with super().send(request) as response:
            if phase is not None:
                await response.read()
                raise BackendError("the connection was reset", phase=phase)
            yield response


class Cutting(Wrapper):
    """Cuts the answers to an operation after so many bytes each, as long as cuts are left."""

    def __init__(self, inner, operation, cuts, *, ranges=True):
        super().__init__(inner)
        self.operation = operation
        self.cuts = list(cuts)
        self.ranges = ranges

    @asynccontextmanager
    async def send(self, request):
        if request.operation != self.operation:
            async with super().send(request) as response:
                yield response
            return
        if not self.ranges:
            headers = {k: v for k, v in request.headers.items() if k not in {"range", "if-range"}}
            request = replace(request, headers=headers)
        cut = self.cuts.pop(0) if self.cuts else None
        async with super().send(request) as response:
            if cut is None:
                yield response
                return
            async with aclosing(_until(response.stream, cut)) as stream:
                yield replace(response, stream=stream)


async def _until(stream, left):
    async for chunk in stream:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            raise BackendError("the connection was reset", phase="read")


class Stalling(Wrapper):
    """Lets the answers to an operation hang after the first chunk, and tells when they do."""

    def __init__(self, inner, operation):
        super().__init__(inner)
        self.operation = operation
        self.hangs = anyio.Event()

    @asynccontextmanager
    async def send(self, request):
        async with super().send(request) as response:
            if request.operation != self.operation:
                yield response
                return
            async with aclosing(self._stalled(response.stream)) as stream:
                yield replace(response, stream=stream)

    async def _stalled(self, stream):
        yield await anext(stream)
        self.hangs.set()
        await anyio.sleep_forever()


class Slow(Wrapper):
    """Takes a while for each request.

    Args:
        inner: Answers.
        seconds: How long, by the clock of the service.
    """

    def __init__(self, inner, seconds):
        super().__init__(inner)
        self.seconds = seconds

    @asynccontextmanager
    async def send(self, request):
        async with super().send(request) as response:
            await clock_of(self).sleep(self.seconds)
            yield response


class Rewriting(Wrapper):
    """Changes the JSON of the answers to an operation."""

    def __init__(self, inner, operation, change):
        super().__init__(inner)
        self.operation = operation
        self.change = change

    @asynccontextmanager
    async def send(self, request):
        async with super().send(request) as response:
            if request.operation != self.operation:
                yield response
                return
            changed = self.change(json.loads(await response.read()))
            yield replace(response, stream=_bytes(changed))


async def _bytes(answer):
    yield json.dumps(answer).encode()
