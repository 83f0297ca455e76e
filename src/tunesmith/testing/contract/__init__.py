"""Tests that every backend must pass."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import anyio.lowlevel
import pytest

from tunesmith.backends.base import Backend, get_clock
from tunesmith.errors import BackendError, Phase
from tunesmith.protocol.message import Request, Response
from tunesmith.service.memory_backend import MemoryBackend
from tunesmith.service.service import Service
from tunesmith.testing.contract.base import BackendUnderTest, on_each_event_loop
from tunesmith.testing.contract.bodies import BodyContract
from tunesmith.testing.contract.engine import EngineContract
from tunesmith.testing.contract.lifecycle import LifecycleContract
from tunesmith.testing.contract.messages import LIST_MODELS, MessageContract, stream_completion
from tunesmith.testing.contract.streams import StreamContract

__all__ = ["BackendContract", "EngineContract", "WrapperContract"]


class BackendContract(MessageContract, BodyContract, StreamContract, LifecycleContract):
    """Tests of a backend on asyncio and trio; subclass it for pytest to run them.

    They need pytest, but no plugin for asynchronous tests. Tests on trio are skipped if trio is not
    installed.

    Override `backend` to return the backend to test, or `connect` if more is to be set up, such as
    a server. Override `loops` for a backend that runs on one event loop only.

    Example:
        ```python
        from tunesmith.service.service import Service
        from tunesmith.testing import BackendContract


        class TestMemory(BackendContract):
            def backend(self, service: Service) -> Backend:
                return MemoryBackend(service)
        ```
    """


class WrapperContract(BackendContract):
    """Tests of a backend around another one: `BackendContract` and a few more.

    Override `wrap` to return the backend to test.

    Example:
        ```python
        from tunesmith.testing import RecordingBackend, WrapperContract


        class TestRecording(WrapperContract):
            def wrap(self, inner: Backend) -> Backend:
                return RecordingBackend(inner, "cassette.json")
        ```
    """

    def wrap(self, inner: Backend) -> Backend:
        """Return the backend to test around another one."""
        raise NotImplementedError(f"{type(self).__name__}.wrap must return the backend to test")

    def backend(self, service: Service) -> Backend:
        """Return the backend to test around a service in memory."""
        return self.wrap(MemoryBackend(service))

    @on_each_event_loop
    async def test_the_clock_is_that_of_the_inner_backend(self, target: BackendUnderTest) -> None:
        """Otherwise clients wait in real time; an attribute `inner` is enough."""
        assert get_clock(target.backend) is target.service.clock

    @on_each_event_loop
    async def test_errors_of_the_inner_backend_keep_their_phase(
        self, _target: BackendUnderTest
    ) -> None:
        """The phase decides whether the client retries."""
        phases: list[Phase] = ["connect", "connect_timeout", "write", "read", "timeout"]
        for phase in phases:
            backend = self.wrap(_FailingBackend(phase))
            with pytest.raises(BackendError, match="it broke") as caught:
                async with backend.send(LIST_MODELS):
                    pass
            assert caught.value.phase == phase
            await backend.aclose()

    @on_each_event_loop
    async def test_an_interrupted_response_raises_the_error(
        self, _target: BackendUnderTest
    ) -> None:
        """Chunks before the interruption are received first."""
        backend = self.wrap(_FailingBackend("read", after=b"data: {"))
        async with backend.send(stream_completion()) as response:
            assert await anext(response.stream) == b"data: {"
            with pytest.raises(BackendError, match="it broke"):
                await anext(response.stream)
        await backend.aclose()

    @on_each_event_loop
    async def test_closing_closes_the_inner_backend(self, _target: BackendUnderTest) -> None:
        """Otherwise its connections stay open."""
        inner = _FailingBackend("read")
        await self.wrap(inner).aclose()
        assert inner.closed


class _FailingBackend:
    """Backend that raises its error at once, or after some bytes of an event stream."""

    def __init__(self, phase: Phase, *, after: bytes | None = None) -> None:
        self._phase: Phase = phase
        self._after = after
        self.closed = False

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:  # noqa: ARG002 - fails for every request
        """Raise the error; see `Backend.send`."""
        await anyio.lowlevel.checkpoint()
        if self._after is None:
            raise self._error()
        async with aclosing(self._interrupted(self._after)) as stream:
            yield Response(200, {"content-type": "text/event-stream"}, stream)

    async def aclose(self) -> None:
        """Record that the backend was closed."""
        self.closed = True

    async def _interrupted(self, first: bytes) -> AsyncGenerator[bytes]:
        yield first
        raise self._error()

    def _error(self) -> BackendError:
        return BackendError("it broke", phase=self._phase)
