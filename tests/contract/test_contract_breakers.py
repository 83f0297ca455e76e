"""Backends that break the contract in one way each fail its test."""

from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from tests.contract.wrappers import Wrapper

from tunesmith import BackendError
from tunesmith.testing import WrapperContract


class Buffering(Wrapper):
    @asynccontextmanager
    async def send(self, request):
        async with self.inner.send(request) as response:
            yield replace(response, stream=_once(await response.read()))


async def _once(content):
    yield content


class Leaking(Wrapper):
    @asynccontextmanager
    async def send(self, request):
        self.kept = [*getattr(self, "kept", []), self.inner.send(request)]
        yield await self.kept[-1].__aenter__()


class Raising(Wrapper):
    @asynccontextmanager
    async def send(self, request):
        async with self.inner.send(request) as response:
            if response.status >= 400:
                raise BackendError("the service refused", phase="read")
            yield response


class Shouting(Wrapper):
    @asynccontextmanager
    async def send(self, request):
        async with self.inner.send(request) as response:
            yield replace(response, headers={k.title(): v for k, v in response.headers.items()})


class Hasty(Wrapper):
    """Reads the body once, and sends what it read ever after."""

    read = None

    @asynccontextmanager
    async def send(self, request):
        if callable(request.body):
            self.read = self.read or [chunk async for chunk in request.body()]
            request = replace(request, body=b"".join(self.read))
        async with self.inner.send(request) as response:
            yield response


class Scoped(Wrapper):
    """Keeps a cancel scope open while the answer is."""

    @asynccontextmanager
    async def send(self, request):
        with anyio.fail_after(30):
            async with self.inner.send(request) as response:
                yield response


class Translating(Wrapper):
    @asynccontextmanager
    async def send(self, request):
        try:
            async with self.inner.send(request) as response:
                yield response
        except (BackendError, KeyError) as error:
            raise BackendError("the call went wrong", phase="read") from error


class Swallowing(Wrapper):
    """Takes a stream that broke off for one that ended."""

    @asynccontextmanager
    async def send(self, request):
        async with self.inner.send(request) as response:
            yield replace(response, stream=self._stream(response.stream))

    async def _stream(self, stream):
        try:
            async for chunk in stream:
                yield chunk
        except BackendError:
            return


class Rangeless(Wrapper):
    @asynccontextmanager
    async def send(self, request):
        async with self.inner.send(replace(request, headers={})) as response:
            yield response


class Undead(Wrapper):
    async def aclose(self):
        pass


class Encoding(Wrapper):
    """Percent-encodes what is encoded already."""

    @asynccontextmanager
    async def send(self, request):
        async with self.inner.send(replace(request, path=request.path.replace("%", "%25"))) as r:
            yield r


class Queued(Wrapper):
    """Sends one request at a time, until its answer is left."""

    def __init__(self, inner):
        super().__init__(inner)
        self.lock = anyio.Lock()

    @asynccontextmanager
    async def send(self, request):
        async with self.lock, self.inner.send(request) as response:
            yield response


BREAKERS = [
    (Buffering, "an_event_is_received_before_the_next_one_happens"),
    (Buffering, "a_long_file_is_received_in_chunks"),
    (Leaking, "a_stream_closes_when_it_is_left"),
    (Leaking, "a_stream_that_is_never_read_closes"),
    (Raising, "an_error_status_is_a_response"),
    (Shouting, "header_names_are_lower_case"),
    (Hasty, "a_body_is_opened_afresh_for_each_attempt"),
    (Scoped, "a_call_may_end_in_another_cancel_scope"),
    (Translating, "errors_of_the_inner_backend_keep_their_phase"),
    (Translating, "errors_of_a_body_are_reraised_and_the_body_is_closed"),
    (Translating, "an_error_of_the_caller_is_reraised_and_closes_the_stream"),
    (Swallowing, "an_interrupted_response_raises_the_error"),
    (Rangeless, "a_range_of_a_file_is_received"),
    (Undead, "a_closed_backend_sends_nothing"),
    (Undead, "closing_closes_the_inner_backend"),
    (Encoding, "a_path_is_sent_unchanged"),
    (Queued, "concurrent_streams_do_not_wait_for_each_other"),
]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize(("breaker", "test"), BREAKERS)
def test_a_backend_that_breaks_the_contract_fails_its_test(breaker, test, loop):
    class Broken(WrapperContract):
        timeout = 0.2

        def wrap(self, inner):
            return breaker(inner)

    failures = (Exception, pytest.fail.Exception, BaseExceptionGroup)
    with pytest.raises(failures):
        getattr(Broken(), f"test_{test}")(loop)


def test_a_contract_without_a_backend_names_the_missing_method():
    class Empty(WrapperContract):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty\.wrap must return the backend to test"):
        Empty().test_header_names_are_lower_case("asyncio")


@pytest.mark.slow
def test_a_third_party_backend_is_checked_in_three_lines(pytester):
    pytester.makepyfile("""
from tunesmith import MemoryBackend
from tunesmith.testing import BackendContract

class TestMine(BackendContract):
    def backend(self, service):
        return MemoryBackend(service)

class TestMineOnOneLoop(TestMine):
    loops = ("asyncio",)
""")
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:anyio", "-k", "lower_case")
    result.assert_outcomes(passed=3, skipped=1)
