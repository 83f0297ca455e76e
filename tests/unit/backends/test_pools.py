"""Connection pools, and resources that live as long as their event loop."""

import asyncio
import gc
import threading
import weakref

import anyio
import pytest

from tunesmith import BackendError
from tunesmith.backends.pools import ConnectionPool, LoopLocal

pytestmark = pytest.mark.anyio


class Connection:
    def __init__(self):
        self.times_closed = 0
        self.is_idle = True

    @property
    def closed(self):
        return self.times_closed > 0

    async def aclose(self):
        await anyio.lowlevel.checkpoint()
        self.times_closed += 1


async def connect(timeout_s):
    return Connection()


def make_pool(max_connections=3, keepalive_expiry_s=30):
    return ConnectionPool(connect, max_connections, keepalive_expiry_s)


async def test_the_connection_used_last_is_reused_first():
    pool = make_pool()
    first, second = await pool.acquire(), await pool.acquire()
    await pool.release(first, reusable=True)
    await pool.release(second, reusable=True)
    assert await pool.acquire() is second
    assert await pool.acquire() is first


async def test_a_connection_that_is_not_reusable_is_closed():
    pool = make_pool()
    connection = await pool.acquire()
    await pool.release(connection, reusable=False)
    assert connection.closed
    assert await pool.acquire() is not connection


async def test_a_connection_that_died_while_idle_is_replaced_and_closed():
    pool = make_pool()
    connection = await pool.acquire()
    await pool.release(connection, reusable=True)
    connection.is_idle = False
    assert await pool.acquire() is not connection
    assert connection.closed


async def test_idle_connections_are_closed_once_they_expire(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("tunesmith.backends.pools.time.monotonic", lambda: now)
    pool = make_pool(keepalive_expiry_s=30)
    old, new = await pool.acquire(), await pool.acquire()
    await pool.release(old, reusable=True)
    now += 31
    await pool.release(new, reusable=True)
    assert (old.closed, new.closed) == (True, False)
    now += 29.9
    assert await pool.acquire() is new
    await pool.release(new, reusable=True)
    now += 30
    assert await pool.acquire() is not new
    assert new.closed


async def test_all_expired_connections_are_closed_at_the_next_release(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("tunesmith.backends.pools.time.monotonic", lambda: now)
    pool = make_pool(keepalive_expiry_s=30)
    acquired = [await pool.acquire() for _ in range(3)]
    for connection in acquired[:2]:
        await pool.release(connection, reusable=True)
    now += 31
    await pool.release(acquired[2], reusable=True)
    assert [connection.closed for connection in acquired] == [True, True, False]


async def test_a_cancelled_task_closes_its_connection():
    pool = make_pool()
    connection = await pool.acquire()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pool.release(connection, reusable=False)
    assert connection.closed


async def test_a_connection_is_closed_once():
    pool = make_pool()
    connection = await pool.acquire()
    await pool.release(connection, reusable=False)
    await pool.aclose()
    assert connection.times_closed == 1


async def test_connecting_gets_the_timeout_of_the_attempt():
    timeouts = []

    async def connect_within(timeout_s):
        timeouts.append(timeout_s)
        return Connection()

    pool = ConnectionPool(connect_within, 2, 30)
    await pool.acquire(7.0)
    await pool.acquire()
    assert timeouts == [7.0, None]


async def test_a_failed_connection_attempt_frees_its_slot():
    async def refuse(timeout_s):
        raise BackendError("refused", phase="connect")

    pool = ConnectionPool(refuse, 1, 30)
    for _ in range(3):
        with pytest.raises(BackendError, match="refused"):
            await pool.acquire()


async def test_the_number_of_connections_is_limited():
    pool = make_pool(max_connections=1)
    connection = await pool.acquire()
    acquired = []

    async def acquire():
        acquired.append(await pool.acquire())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(acquire)
        await anyio.wait_all_tasks_blocked()
        assert acquired == []
        await pool.release(connection, reusable=True)
    assert acquired == [connection]


async def test_closing_the_pool_closes_connections_in_use():
    pool = make_pool()
    acquired = [await pool.acquire() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.aclose)
        for connection in acquired:
            tasks.start_soon(lambda c=connection: pool.release(c, reusable=True))
    assert all(connection.closed for connection in acquired)
    with pytest.raises(BackendError, match=r"^the client is closed$"):
        await pool.acquire()


async def test_a_connection_that_is_being_opened_is_closed_with_the_pool():
    opened = []

    async def connect_slowly(timeout_s):
        await pool.aclose()
        opened.append(Connection())
        return opened[0]

    pool = ConnectionPool(connect_slowly, 1, 30)
    with pytest.raises(BackendError, match=r"^the client is closed$"):
        await pool.acquire()
    assert opened[0].closed


async def test_waiting_for_a_slot_fails_when_the_pool_is_closed():
    pool = make_pool(max_connections=1)
    connection = await pool.acquire()
    phases = []

    async def acquire():
        try:
            await pool.acquire()
        except BackendError as error:
            phases.append(error.phase)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(acquire)
        tasks.start_soon(acquire)
        await anyio.wait_all_tasks_blocked()
        await pool.aclose()
        await pool.release(connection, reusable=True)
    assert phases == ["closed", "closed"]


class Resource:
    def __init__(self):
        self.closed_in = None
        self.closed = anyio.Event()

    async def aclose(self):
        await anyio.lowlevel.checkpoint()
        self.closed_in = anyio.lowlevel.current_token()
        self.closed.set()


LOOPS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@LOOPS
def test_a_resource_is_closed_when_its_loop_ends(backend):
    resources = LoopLocal(Resource)
    used = []

    async def use():
        token = anyio.lowlevel.current_token()
        resource = resources.get(token)
        assert resources.get(token) is resource
        used.append((resource, token))

    for _ in range(2):
        anyio.run(use, backend=backend)
    (first, _), (second, _) = used
    assert first is not second
    assert all(resource.closed_in == token for resource, token in used)


@pytest.mark.slow
@LOOPS
def test_a_resource_is_forgotten_when_its_loop_ends(backend):
    resources = LoopLocal(Resource)

    async def use():
        return weakref.ref(resources.get(anyio.lowlevel.current_token()))

    reference = anyio.run(use, backend=backend)
    gc.collect()
    assert reference() is None


@LOOPS
def test_closing_closes_the_resource_of_the_running_loop(backend):
    resources = LoopLocal(Resource)

    async def use_and_close():
        token = anyio.lowlevel.current_token()
        resource = resources.get(token)
        await resources.aclose(token)
        assert resource.closed_in is not None
        with pytest.raises(BackendError, match=r"^the client is closed$"):
            resources.get(token)

    anyio.run(use_and_close, backend=backend)


@pytest.mark.slow
def test_closing_closes_the_resources_of_other_running_loops():
    resources = LoopLocal(Resource)
    created, ended = threading.Event(), threading.Event()
    resource = None

    async def use():
        nonlocal resource
        resource = resources.get(asyncio.get_running_loop())
        created.set()
        with anyio.fail_after(5):
            await resource.closed.wait()
        ended.set()

    thread = threading.Thread(target=lambda: asyncio.run(use()))
    thread.start()
    assert created.wait(5)
    asyncio.run(resources.aclose(None))
    gc.collect()
    assert ended.wait(5)
    thread.join()
