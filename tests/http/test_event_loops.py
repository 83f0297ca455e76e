"""One client in several event loops: connections are bounded, reused and closed."""

import threading
from contextlib import contextmanager
from functools import partial

import anyio
import anyio.abc
import pytest
from tests.http.servers import Server, good

from tunesmith import AsyncClient

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "trio"])


@contextmanager
def serving_in_thread(serve=good):
    """Run a server in a thread of its own; yield it and its URL."""
    server, ready, state = Server(serve), threading.Event(), {}

    async def main():
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        state["port"] = listener.extra(anyio.abc.SocketAttribute.local_port)
        state["token"] = anyio.lowlevel.current_token()
        async with listener, anyio.create_task_group() as tasks:
            state["stop"] = tasks.cancel_scope.cancel
            ready.set()
            await listener.serve(server.handle)

    thread = threading.Thread(target=partial(anyio.run, main))
    thread.start()
    assert ready.wait(5)
    try:
        yield server, f"http://127.0.0.1:{state['port']}/v1"
    finally:
        anyio.from_thread.run_sync(state["stop"], token=state["token"])
        thread.join()


async def retrieve(client, number=1):
    for _ in range(number):
        assert (await client.models.retrieve("ada")).id == "ada"


async def wait_until_closed(server):
    with anyio.fail_after(5):
        while server.open:  # noqa: ASYNC110 - its events belong to another loop
            await anyio.sleep(0.001)


@LOOPS
def test_connections_are_closed_when_their_loop_ends(loop, transport):
    with serving_in_thread() as (server, url):
        client = AsyncClient("sk-1", url, transport=transport)
        for _ in range(3):
            anyio.run(retrieve, client, 2, backend=loop)
            anyio.run(wait_until_closed, server)
        assert server.opened == 3
        anyio.run(client.aclose, backend=loop)


@LOOPS
def test_threads_share_a_client_with_a_reused_connection_each(loop, transport):
    with serving_in_thread() as (server, url):
        client = AsyncClient("sk-1", url, transport=transport)
        barrier = threading.Barrier(2)

        async def call_in_turns():
            for _ in range(5):
                barrier.wait(5)
                await retrieve(client)

        threads = [
            threading.Thread(target=partial(anyio.run, call_in_turns, backend=loop))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        anyio.run(wait_until_closed, server)
        assert server.requests == 10
        assert server.opened == 2
        anyio.run(client.aclose, backend=loop)


def test_closing_the_client_closes_the_connections_of_other_loops(transport):
    with serving_in_thread() as (server, url):
        client = AsyncClient("sk-1", url, transport=transport)
        called, closed = threading.Event(), threading.Event()

        async def call_and_wait():
            await retrieve(client)
            called.set()
            await wait_until_closed(server)
            closed.set()

        thread = threading.Thread(target=partial(anyio.run, call_and_wait))
        thread.start()
        assert called.wait(5)
        anyio.run(client.aclose)
        assert closed.wait(6)
        thread.join()
