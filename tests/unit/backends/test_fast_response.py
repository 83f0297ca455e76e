"""The parser of the fast backend: what it makes of bytes, and when it stops waiting for more."""

import asyncio
from types import SimpleNamespace

import anyio
import pytest

from tunesmith import BackendError
from tunesmith.backends.fast import response as response_module
from tunesmith.backends.fast.response import HttpResponse

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\n"
GOOD = HEAD + b"content-length: 2\r\n\r\nok"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
LIMIT = 256 * 1024


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Transport:
    def __init__(self):
        self.calls = []

    def pause_reading(self):
        self.calls.append("pause")

    def resume_reading(self):
        self.calls.append("resume")


class Timer:
    def __init__(self, at, call):
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class Loop:
    """A loop whose time passes only in `advance`."""

    def __init__(self):
        self.now = 0.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, delay, callback, *args):
        self.timers.append(Timer(self.now + delay, lambda: callback(*args)))
        return self.timers[-1]

    def create_future(self):
        return asyncio.get_running_loop().create_future()

    @property
    def pending(self):
        return [timer for timer in self.timers if not timer.cancelled]

    async def advance(self, seconds):
        end = self.now + seconds
        while due := [timer for timer in self.pending if timer.at <= end]:
            timer = min(due, key=lambda timer: timer.at)
            self.now = timer.at
            timer.cancelled = True
            timer.call()
        self.now = end
        await anyio.wait_all_tasks_blocked()


@pytest.fixture
def loop(monkeypatch):
    loop = Loop()
    monkeypatch.setattr(response_module, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    return loop


def respond(*, timeout_s=None, has_body=True):
    return HttpResponse(Transport(), timeout_s, has_body=has_body)


def feed(response, data):
    return response.feed(memoryview(data))


async def error_of(awaitable):
    with pytest.raises(BackendError) as caught:
        await awaitable
    return caught.value


async def test_a_complete_response_leaves_the_connection_reusable():
    response = respond()
    assert feed(response, GOOD)
    await response.read_head()
    assert (response.status, response.headers) == (200, {"content-length": "2"})
    assert [chunk async for chunk in response] == [b"ok"]
    assert response.is_reusable


async def test_all_unread_chunks_are_read_at_once_and_in_order():
    response = respond()
    feed(response, CHUNKED + b"2\r\nab\r\n1\r\nc\r\n")
    assert await anext(response) == b"abc"
    feed(response, b"1\r\nd\r\n0\r\n\r\n")
    assert [chunk async for chunk in response] == [b"d"]


@pytest.mark.parametrize("surplus", [b"\r\n", b"x", GOOD])
async def test_surplus_bytes_make_the_connection_unusable(surplus):
    response = respond()
    feed(response, GOOD)
    assert not feed(response, surplus)
    assert not response.is_reusable
    assert [chunk async for chunk in response] == [b"ok"]


async def test_a_second_response_in_the_same_bytes_makes_the_connection_unusable():
    response = respond()
    assert not feed(response, GOOD + GOOD)
    assert not response.is_reusable
    assert [chunk async for chunk in response] == [b"ok"]


async def test_bytes_after_the_response_was_detached_are_surplus():
    response = respond()
    response.detach()
    assert not feed(response, GOOD)


async def test_bytes_that_are_not_http_are_an_error():
    response = respond()
    assert not feed(response, b"nonsense\r\n\r\n")
    error = await error_of(response.read_head())
    assert str(error).startswith("the response is not HTTP/1.1: ")
    assert error.phase == "read"


@pytest.mark.parametrize(("excess", "is_accepted"), [(0, True), (1, False)])
async def test_the_length_of_the_headers_is_limited(excess, is_accepted):
    response = respond()
    begin = HEAD + b"x: "
    feed(response, begin)
    assert feed(response, b"y" * (LIMIT - len(begin) + excess)) is is_accepted
    if not is_accepted:
        error = await error_of(response.read_head())
        assert str(error) == "the headers of the response are too long"
        assert error.phase == "read"


async def test_reading_pauses_while_too_much_is_unread():
    response = respond()
    calls = response._transport.calls
    feed(response, HEAD + b"content-length: %d\r\n\r\n" % (4 * LIMIT))
    for _ in range(2):
        feed(response, b"x" * LIMIT)
        assert calls == []
        feed(response, b"x")
        feed(response, b"x")
        assert calls == ["pause"]
        assert len(await anext(response)) == LIMIT + 2
        assert calls == ["pause", "resume"]
        calls.clear()
    feed(response, b"x")
    assert await anext(response) == b"x"
    assert calls == []


async def test_a_response_to_head_has_no_body():
    """The parser does not know, and waits for it: the connection cannot be used again."""
    response = respond(has_body=False)
    feed(response, HEAD + b"content-length: 2\r\n\r\n")
    assert [chunk async for chunk in response] == []
    assert not response.is_reusable


async def test_informational_responses_are_not_the_response():
    response = respond()
    feed(response, b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
    assert not response.has_head
    feed(response, GOOD)
    assert (response.status, response.headers) == (200, {"content-length": "2"})


async def test_a_response_without_a_length_ends_with_its_connection():
    response = respond()
    feed(response, HEAD + b"\r\nok")
    response.connection_lost(None, sent=True)
    assert [chunk async for chunk in response] == [b"ok"]
    assert not response.is_reusable


@pytest.mark.parametrize(
    ("received", "cause", "message"),
    [
        (b"", None, "the server closed the connection during the response"),
        (b"", OSError("reset"), "reset"),
        (HEAD + b"content-length: 2\r\n\r\n", None, "the server closed the connection during the"),
        (CHUNKED, None, "the server closed the connection during the response"),
        (HEAD + b"\r\n", OSError("reset"), "reset"),
    ],
)
@pytest.mark.parametrize(("sent", "phase"), [(True, "read"), (False, "write")])
async def test_a_lost_connection_is_an_error(received, cause, message, sent, phase):
    response = respond()
    feed(response, received)
    response.connection_lost(cause, sent=sent)
    error = await error_of(anext(response))
    assert str(error).startswith(message)
    assert error.phase == phase


async def test_the_first_error_is_raised():
    response = respond()
    feed(response, HEAD + b"\r\n")
    response.fail(BackendError("first", phase="read"))
    response.fail(BackendError("second", phase="read"))
    response.connection_lost(None, sent=True)
    assert str(await error_of(anext(response))) == "first"


async def test_a_complete_response_does_not_fail():
    response = respond()
    feed(response, GOOD)
    response.fail(BackendError("late", phase="read"))
    assert [chunk async for chunk in response] == [b"ok"]


async def test_a_lost_connection_is_not_reusable_though_the_response_is_complete():
    response = respond()
    feed(response, GOOD)
    response.connection_lost(None, sent=True)
    assert not response.is_reusable


async def read_all(response, outcomes):
    try:
        async for chunk in response:
            outcomes.append(chunk)
    except BackendError as error:
        outcomes.append((error.phase, str(error)))


@pytest.mark.parametrize("received_at", [0.5, 4])
async def test_the_timeout_counts_from_the_last_bytes(loop, received_at):
    response = respond(timeout_s=5)
    feed(response, HEAD + b"content-length: 9\r\n\r\n")
    outcomes = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, response, outcomes)
        await anyio.wait_all_tasks_blocked()
        await loop.advance(received_at)
        feed(response, b"a")
        await loop.advance(0)
        await loop.advance(4.75)
        assert outcomes == [b"a"]
        assert len(loop.pending) == 1
        await loop.advance(0.25)
    assert outcomes == [b"a", ("timeout", "no data within the timeout")]


async def test_the_timeout_does_not_count_while_nobody_reads(loop):
    response = respond(timeout_s=5)
    feed(response, HEAD + b"content-length: 2\r\n\r\n")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anext, response)
        await anyio.wait_all_tasks_blocked()
        feed(response, b"a")
    await loop.advance(60)
    outcomes = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, response, outcomes)
        await anyio.wait_all_tasks_blocked()
        feed(response, b"b")
    assert outcomes == [b"b"]
    response.detach()
    assert loop.pending == []


async def test_the_time_until_the_head_is_limited_by_the_attempt_alone(loop):
    response = respond(timeout_s=5)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(response.read_head)
        await anyio.wait_all_tasks_blocked()
        assert loop.timers == []
        feed(response, GOOD)


async def test_without_a_timeout_there_is_no_timer(loop):
    response = respond()
    feed(response, HEAD + b"content-length: 2\r\n\r\n")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anext, response)
        await anyio.wait_all_tasks_blocked()
        assert loop.timers == []
        feed(response, b"ok")
