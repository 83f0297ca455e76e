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


def file_object(number, **fields):
    size = len(LINE) * 35
    return {"id": f"file-{number}", "bytes": size, "purpose": "fine-tune", **fields}


@pytest.mark.parametrize(
    "other",
    [{"bytes": 1}, {"purpose": "batch"}, {"status": "error"}],
    ids=["size", "purpose", "rejected"],
)
async def test_other_files_in_the_list_are_not_downloaded(path, other):
    listing = {"data": [file_object(1, **other), file_object(2)]}
    backend = Script(answer(json.dumps(listing).encode()), answer(path.read_bytes()))
    reported = []
    client = backend.client()
    file = await client.files.upload(path, progress=lambda *sent: reported.append(sent))
    assert file.id == "file-2"
    assert backend.requests[-1].path == "/files/file-2/content"
    assert reported == [(len(LINE) * 35,) * 2]


async def test_a_file_whose_content_begins_with_the_same_bytes_is_another(path):
    listing = answer(json.dumps({"data": [file_object(1)]}).encode())
    backend = Script(listing, answer(path.read_bytes()[:-1]), answer(b'{"id": "file-9"}'))
    assert (await backend.client().files.upload(path)).id == "file-9"


async def test_a_file_of_the_size_of_a_part_is_sent_in_one_request(path):
    backend = Script(answer(b'{"id": "file-1"}'))
    await backend.client().files.upload(path, part_bytes=len(LINE) * 35, reuse=False)
    [request] = backend.requests
    assert request.operation == "files.create"


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("a.jsonl", "text/jsonl"),
        ("a.csv", "text/csv"),
        ("a.txt.gz", "text/plain"),
        ("a", "application/octet-stream"),
    ],
)
async def test_the_type_follows_from_the_name(path, name, mime_type):
    recorder = CallRecorder(MemoryBackend())
    async with AsyncClient(backend=recorder) as client:
        await client.files.upload(path, filename=name, purpose="user_data", part_bytes=PART)
    [call] = recorder.calls("uploads.create")
    assert (call.parameters["filename"], call.parameters["mime_type"]) == (name, mime_type)


async def test_progress_counts_the_parts_of_an_earlier_call(path):
    size = len(LINE) * 35
    part = size // 5
    faults = Faults(MemoryBackend())
    faults.on("uploads.parts.create", nth=3).status(400)
    reported = []
    async with AsyncClient(backend=faults) as client:
        with pytest.raises(errors.BadRequestError):
            await client.files.upload(path, part_bytes=part, reuse=False, concurrency=1)
        await client.files.upload(
            path,
            part_bytes=part,
            reuse=False,
            concurrency=1,
            progress=lambda *sent: reported.append(sent),
        )
    assert reported == [(part * number, size) for number in range(1, 6)]


@pytest.mark.parametrize("field", ["size_bytes", "modified_ns", "purpose"])
async def test_the_state_of_another_file_is_ignored(path, field):
    faults = Faults(MemoryBackend())
    faults.on("uploads.parts.create", nth=3).status(400)
    recorder = CallRecorder(faults)
    async with AsyncClient(backend=recorder) as client:
        with pytest.raises(errors.BadRequestError):
            await client.files.upload(path, part_bytes=PART, reuse=False, concurrency=1)
        [state] = path.parent.glob(".*")
        saved = json.loads(state.read_text())
        saved[field] = "batch" if field == "purpose" else saved[field] + 1
        state.write_text(json.dumps(saved))
        await client.files.upload(path, part_bytes=PART, reuse=False)
    assert len(recorder.calls("uploads.create")) == 2


async def test_without_permission_to_save_its_state_a_file_is_uploaded_all_the_same(path):
    path.with_name(f".{path.name}.tunesmith-upload.json").mkdir()
    async with AsyncClient(backend=MemoryBackend()) as client:
        file = await client.files.upload(path, part_bytes=PART)
        assert await client.files.content(file.id).read() == path.read_bytes()


async def test_a_completed_upload_without_a_file_is_an_error(path):
    backend = Script(
        answer(b'{"id": "upload_1", "status": "pending"}'),
        *[answer(b'{"id": "part_1"}')] * 4,
        answer(b'{"id": "upload_1", "status": "completed"}'),
    )
    words = "^upload upload_1 is completed, but the response lacks its file$"
    with pytest.raises(errors.InvalidResponseError, match=words) as caught:
        await backend.client().files.upload(path, part_bytes=PART, reuse=False)
    assert caught.value.operation == "uploads.complete"


async def test_a_file_that_is_deleted_while_it_is_uploaded_is_an_error(path):
    async with AsyncClient(backend=MemoryBackend()) as client:
        words = f"^{path} cannot be read: No such file or directory$"
        with pytest.raises(errors.InvalidRequestError, match=words):
            await client.files.upload(
                path, part_bytes=PART, concurrency=1, progress=lambda *_: path.unlink()
            )


MIB = 1024 * 1024


async def test_a_large_file_is_read_and_reported_in_chunks(tmp_path):
    path = tmp_path / "large.jsonl"
    path.write_bytes(b"x" * (2 * MIB + 1))
    backend = Script(answer(b'{"id": "file-1"}'))
    reported = []
    await backend.client().files.upload(
        path, reuse=False, progress=lambda *sent: reported.append(sent)
    )
    size = 2 * MIB + 1
    assert reported == [(MIB, size), (2 * MIB, size), (size, size)]
    assert len(backend.bodies[0]) == int(backend.requests[0].headers["content-length"])


async def test_a_file_that_changes_between_its_chunks_is_not_sent_to_the_end(tmp_path):
    path = tmp_path / "large.jsonl"
    path.write_bytes(b"x" * (MIB + 1))
    backend = Script(answer(b'{"id": "file-1"}'))
    with pytest.raises(errors.InvalidRequestError, match="changed while it was being uploaded"):
        await backend.client().files.upload(
            path, reuse=False, progress=lambda *_: os.utime(path, ns=(1, 1))
        )
