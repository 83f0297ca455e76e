"""Uploads: completed once, and only of a file that stays the same."""

import hashlib
import json
import os

import pytest
from tests.unit.calls.conftest import Script, answer

from tunesmith import AsyncClient, MemoryBackend, errors
from tunesmith.testing import CallRecorder, Faults

pytestmark = pytest.mark.anyio

LINE = b'{"prompt":"a","completion":"b"}\n'
PART = len(LINE) * 10


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(LINE * 35)
    return path


async def files_of(client):
    return [file.id async for file in client.files.list()]


async def test_a_lost_response_of_complete_makes_no_second_file(path):
    faults = Faults(MemoryBackend())
    faults.on("uploads.complete").drop_response()
    async with AsyncClient(backend=faults) as client:
        file = await client.files.upload(path, part_bytes=PART)
        assert await files_of(client) == [file.id]


async def test_an_upload_that_was_completed_by_another_process_is_found(path):
    faults = Faults(MemoryBackend())
    faults.on("uploads.complete").drop_response()
    faults.on("files.list").status(500)
    async with AsyncClient(backend=faults, max_retries=0) as client:
        with pytest.raises(errors.APIError):
            await client.files.upload(path, part_bytes=PART, reuse=False)
        assert len(list(path.parent.iterdir())) == 2  # the file and its state
        file = await client.files.upload(path, part_bytes=PART, reuse=False)
        assert await files_of(client) == [file.id]
    assert list(path.parent.iterdir()) == [path]


async def test_completing_an_upload_by_hand_twice_leaves_the_outcome_unknown():
    faults = Faults(MemoryBackend())
    faults.on("uploads.complete").drop_response()
    async with AsyncClient(backend=faults) as client:
        upload = await client.uploads.create(
            bytes=len(LINE), filename="a.jsonl", mime_type="text/jsonl", purpose="fine-tune"
        )
        part = await client.uploads.parts.create(upload.id, data=LINE)
        with pytest.raises(errors.UnknownOutcomeError, match=r"files\.list"):
            await client.uploads.complete(upload.id, part_ids=[part.id])


async def test_the_checksum_of_the_whole_file_is_sent(path):
    backend = Script(
        answer(b'{"id": "upload_1", "status": "pending"}'),
        *[answer(b'{"id": "part_%d"}' % number) for number in range(4)],
        answer(b'{"id": "upload_1", "status": "completed", "file": {"id": "file-1"}}'),
    )
    await backend.client().files.upload(path, part_bytes=PART, reuse=False, concurrency=1)
    sent = json.loads(backend.bodies[-1])
    assert sent["md5"] == hashlib.md5(path.read_bytes()).hexdigest()
    assert sorted(sent["part_ids"]) == ["part_0", "part_1", "part_2", "part_3"]


async def test_existing_files_are_compared_newest_first(path):
    backend = Script(answer(b'{"data": []}'), answer(b'{"id": "file-1"}'))
    await backend.client().files.upload(path)
    assert dict(backend.requests[0].query) == {"order": "desc", "purpose": "fine-tune"}


async def test_a_file_that_cannot_be_downloaded_is_not_taken_for_the_same(path):
    faults = Faults(MemoryBackend())
    faults.on("files.content", nth=None).status(403)
    async with AsyncClient(backend=faults) as client:
        first = await client.files.upload(path)
        second = await client.files.upload(path)
    assert first.id != second.id


async def test_at_most_three_files_are_compared(path):
    recorder = CallRecorder(MemoryBackend())
    async with AsyncClient(backend=recorder) as client:
        for number in range(9):
            other = path.read_bytes()[:-2] + f"{number:02}".encode()
            await client.files.create(file=("a.jsonl", other), purpose="user_data")
        await client.files.upload(path, purpose="user_data")
    assert len(recorder.calls("files.content")) == 3


async def test_the_type_of_json_lines_is_sent(path):
    recorder = CallRecorder(MemoryBackend())
    async with AsyncClient(backend=recorder) as client:
        await client.files.upload(path, part_bytes=PART)
        data = path.with_suffix(".bin")
        data.write_bytes(path.read_bytes() + LINE)
        await client.files.upload(data, part_bytes=PART, purpose="user_data")
    types = [call.parameters["mime_type"] for call in recorder.calls("uploads.create")]
    assert types == ["text/jsonl", "application/octet-stream"]


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
async def test_a_file_that_changes_while_it_is_uploaded_is_an_error(path, change):
    def progress(sent, total):
        with path.open("r+b") as file:
            if change == "shrink":
                file.truncate(PART)
            else:
                file.seek(0, os.SEEK_END if change == "grow" else os.SEEK_SET)
                file.write(LINE)
        os.utime(path, ns=(1, 1))

    async with AsyncClient(backend=MemoryBackend()) as client:
        with pytest.raises(errors.InvalidRequestError, match="changed while"):
            await client.files.upload(path, part_bytes=PART, progress=progress)
        assert await files_of(client) == []


async def test_a_path_that_changes_while_it_is_sent_is_an_error(tmp_path):
    path = tmp_path / "large.jsonl"
    path.write_bytes(LINE * 20_000)  # more than one chunk

    class Changing(Script):
        def send(self, request):
            body = request.body

            async def changing():
                async for chunk in body():
                    yield chunk
                    os.utime(path, ns=(1, 1))

            object.__setattr__(request, "body", changing)
            return super().send(request)

    backend = Changing(answer(b'{"id": "file-1"}'))
    with pytest.raises(errors.InvalidRequestError, match="changed while it was sent"):
        await backend.client().files.create(file=path, purpose="fine-tune")
