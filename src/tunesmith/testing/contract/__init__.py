"""What every backend must do, as tests for whoever writes one."""

import pytest

from tunesmith.backends.base import Backend, get_clock
from tunesmith.errors import BackendError, Phase
from tunesmith.service.memory_backend import MemoryBackend
from tunesmith.service.service import Service
from tunesmith.testing.contract.base import BackendUnderTest, on_each_event_loop
from tunesmith.testing.contract.bodies import BodyContract
from tunesmith.testing.contract.broken import FailingBackend
from tunesmith.testing.contract.life_cycle import LifeCycleContract
from tunesmith.testing.contract.messages import LIST_MODELS, MessageContract, stream_completion
from tunesmith.testing.contract.streams import StreamContract

__all__ = ["BackendContract", "WrapperContract"]


class BackendContract(MessageContract, BodyContract, StreamContract, LifeCycleContract):
    """The tests that a backend must pass, on asyncio and trio; subclass it, and pytest runs them.

    They need pytest, and no plugin for asynchronous tests. Where trio is not installed, its tests
    are skipped.

    `backend` makes the backend to test, over a service in memory. Where more is to be set up, such
    as a server, override `connect` instead, an asynchronous context manager that gives the backend.
    A backend that runs on one event loop alone says so by `loops`.

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
    """The tests that a backend around another one must pass: `BackendContract`, and a few more.

    `wrap` puts the backend to test around another.

    Example:
        ```python
        from tunesmith.testing import RecordingBackend, WrapperContract


        class TestRecording(WrapperContract):
            def wrap(self, inner: Backend) -> Backend:
                return RecordingBackend(inner, "cassette.json")
        ```
    """

    def wrap(self, inner: Backend) -> Backend:
        """Put the backend to test around another."""
        raise NotImplementedError(f"{type(self).__name__}.around must make the backend to test")

    def backend(self, service: Service) -> Backend:
        """Put it around a service in memory."""
        return self.wrap(MemoryBackend(service))

    @on_each_event_loop
    async def test_time_is_that_of_the_backend_inside(self, target: BackendUnderTest) -> None:
        """Else a client would wait for real; an attribute `inner` is enough."""
        assert get_clock(target.backend) is target.service.clock

    @on_each_event_loop
    async def test_an_error_from_inside_comes_out_as_it_is(self, _target: BackendUnderTest) -> None:
        """The phase decides whether the client may ask again."""
        phases: list[Phase] = ["connect", "connect_timeout", "write", "read", "timeout"]
        for phase in phases:
            backend = self.wrap(FailingBackend(phase))
            with pytest.raises(BackendError, match="it broke") as caught:
                async with backend.send(LIST_MODELS):
                    pass
            assert caught.value.phase == phase
            await backend.aclose()

    @on_each_event_loop
    async def test_an_answer_that_breaks_off_inside_breaks_off_outside(
        self, _target: BackendUnderTest
    ) -> None:
        """What came before is handed over, and the end is an error, not an end."""
        backend = self.wrap(FailingBackend("read", after=b"data: {"))
        async with backend.send(stream_completion()) as response:
            assert await anext(response.stream) == b"data: {"
            with pytest.raises(BackendError, match="it broke"):
                await anext(response.stream)
        await backend.aclose()

    @on_each_event_loop
    async def test_closing_closes_the_backend_inside(self, _target: BackendUnderTest) -> None:
        """Else its connections stay open."""
        inner = FailingBackend("read")
        await self.wrap(inner).aclose()
        assert inner.closed
