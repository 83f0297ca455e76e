"""Pools of one connection each."""

import anyio
import pytest

from tunesmith import BackendError
from tunesmith.backends.pools import Pools

pytestmark = pytest.mark.anyio


class Transport:
    def __init__(self):
        self.closed = False

    async def aclose(self):
        await anyio.lowlevel.checkpoint()
        self.closed = True


async def test_what_is_under_way_while_they_are_closed_is_closed_too():
    pools = Pools(Transport, max_connections=3, keep_idle_s=30)
    taken = [await pools.take() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pools.aclose)
        for transport in taken:
            tasks.start_soon(pools.give_back, transport)
    assert all(transport.closed for transport in taken)
    with pytest.raises(BackendError, match="closed"):
        await pools.take()


async def test_who_waits_for_room_while_they_are_closed_is_told():
    pools = Pools(Transport, max_connections=1, keep_idle_s=30)
    transport = await pools.take()
    told = []

    async def take():
        try:
            await pools.take()
        except BackendError as error:
            told.append(error.phase)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        await pools.aclose()
        await pools.give_back(transport)
    assert told == ["closed", "closed"]
