"""Downloads: complete or an error, however often the connection breaks."""

import random

import anyio
import pytest
from tests.contract.data import collect
from tests.contract.wrappers import Stalling, WithoutRanges

from tunesmith import AsyncClient, errors
from tunesmith.testing import CallRecorder, Faults

pytestmark = pytest.mark.anyio

SIZE = 300_000
CONTENT = random.Random(1).randbytes(SIZE)


@pytest.fixture
async def file_id(backend):
    """A file of several chunks."""
    client = AsyncClient(backend=backend)
    return (await client.files.create(file=CONTENT, purpose="user_data")).id


@pytest.fixture
def target(tmp_path):
    return tmp_path / "content.bin"


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def ranges(record):
    return [call.headers.get("range") for call in record.calls("files.content")]


async def test_a_stream_yields_the_content_in_chunks(client, file_id):
    async with client.files.content(file_id).stream() as stream:
        chunks = [chunk async for chunk in stream]
    assert len(chunks) > 1
    assert b"".join(chunks) == CONTENT


async def test_a_download_stream_can_be_left_early(client, file_id):
    async with client.files.content(file_id).stream() as stream:
        first = await anext(stream)
    assert first == CONTENT[: len(first)]
    assert await client.files.content(file_id).read() == CONTENT


async def test_content_is_written_to_one_file_only(client, file_id, target):
    assert await client.files.content(file_id).write_to(target) == target
    assert target.read_bytes() == CONTENT
    assert names_in(target.parent) == ["content.bin"]


async def test_an_existing_file_is_replaced(client, file_id, target):
    target.write_bytes(b"old")
    await client.files.content(file_id).write_to(str(target))
    assert target.read_bytes() == CONTENT


async def test_an_interrupted_download_is_resumed(backend, file_id, target):
    faults = Faults(backend)
    faults.on("files.content").disconnect(after_bytes=100_000)
    record = CallRecorder(faults)
    await AsyncClient(backend=record).files.content(file_id).write_to(target)
    assert target.read_bytes() == CONTENT
    assert ranges(record) == [None, "bytes=100000-"]


async def test_a_download_is_resumed_as_often_as_it_makes_progress(backend, file_id, target):
    faults = Faults(backend)
    faults.on("files.content", nth=range(1, 6)).disconnect(after_bytes=50_000)
    record = CallRecorder(faults)
    await AsyncClient(backend=record, max_retries=1).files.content(file_id).write_to(target)
    assert target.read_bytes() == CONTENT
    assert ranges(record)[1:] == [f"bytes={n * 50_000}-" for n in range(1, 6)]


async def test_a_response_that_lacks_only_its_end_is_completed(backend, file_id, target):
    faults = Faults(backend)
    faults.on("files.content").disconnect(after_bytes=SIZE)
    record = CallRecorder(faults)
    await AsyncClient(backend=record).files.content(file_id).write_to(target)
    assert target.read_bytes() == CONTENT
    assert ranges(record) == [None, f"bytes={SIZE}-"]


async def test_resumable_content_is_requested_uncompressed(backend, file_id, target):
    """A range of a packed answer would count other bytes than those that were written."""
    faults = Faults(backend)
    faults.on("files.content").disconnect(after_bytes=100_000)
    record = CallRecorder(faults)
    await AsyncClient(backend=record).files.content(file_id).write_to(target)
    assert {call.headers["accept-encoding"] for call in record.calls()} == {"identity"}


async def test_without_range_support_the_whole_file_is_requested_again(backend, file_id, target):
    faults = Faults(WithoutRanges(backend))
    faults.on("files.content").disconnect(after_bytes=100_000)
    await AsyncClient(backend=faults).files.content(file_id).write_to(target)
    assert target.read_bytes() == CONTENT
    assert names_in(target.parent) == ["content.bin"]


async def test_a_download_without_progress_fails_and_leaves_nothing(backend, file_id, target):
    """Without ranges every attempt begins anew, and breaks at the same place."""
    faults = Faults(WithoutRanges(backend))
    faults.on("files.content", nth=None).disconnect(after_bytes=100_000)
    client = AsyncClient(backend=faults)
    with pytest.raises(errors.StreamInterruptedError) as caught:
        await client.files.content(file_id).write_to(target)
    assert caught.value.operation == "files.content"
    assert names_in(target.parent) == []


async def test_a_failed_download_leaves_the_existing_file(backend, file_id, target):
    target.write_bytes(b"old")
    faults = Faults(WithoutRanges(backend))
    faults.on("files.content").disconnect(after_bytes=100_000)
    client = AsyncClient(backend=faults, max_retries=0)
    with pytest.raises(errors.StreamInterruptedError):
        await client.files.content(file_id).write_to(target)
    assert target.read_bytes() == b"old"
    assert names_in(target.parent) == ["content.bin"]


async def test_a_cancelled_download_leaves_nothing(backend, file_id, target):
    stalling = Stalling(backend, "files.content")
    client = AsyncClient(backend=stalling)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.files.content(file_id).write_to, target)
        await stalling.hangs.wait()
        assert len(names_in(target.parent)) == 1
        tasks.cancel_scope.cancel()
    assert names_in(target.parent) == []
    assert await AsyncClient(backend=backend).files.content(file_id).read() == CONTENT


async def test_an_interrupted_download_stream_is_an_error(backend, file_id):
    faults = Faults(backend)
    faults.on("files.content").disconnect(after_bytes=100_000)
    client = AsyncClient(backend=faults)
    received = []
    async with client.files.content(file_id).stream() as stream:
        with pytest.raises(errors.StreamInterruptedError):
            await collect(stream, received)
    assert b"".join(received) == CONTENT[:100_000]


async def test_an_interrupted_read_is_retried(backend, file_id):
    faults = Faults(backend)
    faults.on("files.content").disconnect(after_bytes=100_000)
    assert await AsyncClient(backend=faults).files.content(file_id).read() == CONTENT
    faults.assert_all_fired()


async def test_a_failed_connection_is_retried(backend, file_id, target):
    faults = Faults(backend)
    faults.on("files.content").refuse_connection()
    await AsyncClient(backend=faults).files.content(file_id).write_to(target)
    assert target.read_bytes() == CONTENT


async def test_downloading_an_unknown_file_is_an_error_and_leaves_nothing(client, target):
    with pytest.raises(errors.NotFoundError, match="No such File object: file-none"):
        await client.files.content("file-none").write_to(target)
    assert names_in(target.parent) == []


async def test_a_folder_that_does_not_exist_is_an_error(client, file_id, tmp_path):
    with pytest.raises(FileNotFoundError):
        await client.files.content(file_id).write_to(tmp_path / "nowhere" / "content.bin")


async def test_an_empty_file_is_downloaded(client, service, target):
    file = service.files.add([b""], "empty.bin", "user_data")
    await client.files.content(file.id).write_to(target)
    assert target.read_bytes() == b""
