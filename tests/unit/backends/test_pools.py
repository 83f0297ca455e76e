"""Pools of one connection each."""

import anyio
import pytest

from tunesmith import BackendError
from tunesmith.backends.pools import ConnectionPool

pytestmark = pytest.mark.anyio


class Transport:
    def __init__(self):
        self.closed = False

    async def aclose(self):
        await anyio.lowlevel.checkpoint()
        self.closed = True


async def test_what_is_under_way_while_they_are_closed_is_closed_too():
    pools = ConnectionPool(Transport, max_connections=3, keepalive_expiry_s=30)
    taken = [await pools.acquire() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pools.aclose)
        for transport in taken:
            tasks.start_soon(pools.release, transport)
    assert all(transport.closed for transport in taken)
    with pytest.raises(BackendError, match="closed"):
        await pools.acquire()


async def test_who_waits_for_room_while_they_are_closed_is_told():
    pools = ConnectionPool(Transport, max_connections=1, keepalive_expiry_s=30)
    transport = await pools.acquire()
    told = []

    async def take():
        try:
            await pools.acquire()
        except BackendError as error:
            told.append(error.phase)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        await pools.aclose()
        await pools.release(transport)
    assert told == ["closed", "closed"]
