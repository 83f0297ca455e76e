"""What calls leave in memory, and how much of a large body is ever there."""

import gc
import tracemalloc

import anyio
import pytest
from tests.http.servers import GOOD, serving_over

pytestmark = pytest.mark.anyio


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.slow
async def test_calls_leave_nothing_in_memory(transport, traced):
    async def good(connection, number):
        await connection.send(GOOD)

    async def many(client, number):
        for _ in range(number):
            await client.models.retrieve("ada")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async with serving_over(transport, good) as (_, client):
        await many(client, 20)
        before = await many(client, 20)
        assert await many(client, 100) - before < 100 * 100


@pytest.mark.slow
async def test_a_large_download_is_never_whole_in_memory(transport, traced, tmp_path):
    size, part = 30_000_000, bytes(100_000)

    async def large(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size // len(part)):
            await connection.send(part)

    async with serving_over(transport, large) as (_, client):
        path = await client.files.content("file-1").write_to(tmp_path / "content.bin")
    assert (await anyio.Path(path).stat()).st_size == size
    assert tracemalloc.get_traced_memory()[1] < size / 4
