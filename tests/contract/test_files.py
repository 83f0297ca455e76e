"""Files: stored unchanged until they are deleted."""

import io

import pytest
from tests.contract.data import json_lines, pairs
from tests.contract.wrappers import Wrapper

from tunesmith import AsyncClient, errors
from tunesmith.testing import CallRecorder, Faults

pytestmark = pytest.mark.anyio

CONTENT = json_lines(pairs())


async def in_pieces():
    for start in range(0, len(CONTENT), 100):
        yield CONTENT[start : start + 100]


@pytest.mark.parametrize("form", ["path", "text_path", "bytes", "file_object", "iterator", "tuple"])
async def test_a_file_can_be_a_path_bytes_or_a_stream(client, tmp_path, form):
    path = tmp_path / "train.jsonl"
    path.write_bytes(CONTENT)
    given = {
        "path": path,
        "text_path": str(path),
        "bytes": CONTENT,
        "file_object": io.BytesIO(CONTENT),
        "iterator": in_pieces(),
        "tuple": ("train.jsonl", CONTENT, "application/jsonl"),
    }[form]
    file = await client.files.create(file=given, purpose="fine-tune")
    assert file.bytes == len(CONTENT)
    assert file.purpose == "fine-tune"
    assert await client.files.content(file.id).read() == CONTENT
    if form in {"path", "text_path", "tuple"}:
        assert file.filename == "train.jsonl"


@pytest.mark.parametrize(
    "filename", ["Kritik der Urteilskraft.jsonl", "Ünïcödé ☃.jsonl", 'a"b.jsonl']
)
async def test_a_file_keeps_its_name(client, filename):
    file = await client.files.create(file=(filename, CONTENT), purpose="fine-tune")
    assert (await client.files.retrieve(file.id)).filename == filename


async def test_a_created_file_is_retrieved_and_listed(client):
    created = await client.files.create(file=CONTENT, purpose="batch")
    await client.files.create(file=CONTENT, purpose="fine-tune")
    assert await client.files.retrieve(created.id) == created
    page = await client.files.list(purpose="batch")
    assert [file.id for file in page.data] == [created.id]


async def test_a_deleted_file_does_not_exist(client):
    file = await client.files.create(file=CONTENT, purpose="fine-tune")
    deleted = await client.files.delete(file.id)
    assert (deleted.id, deleted.deleted) == (file.id, True)
    for gone in (client.files.retrieve(file.id), client.files.content(file.id).read()):
        with pytest.raises(errors.NotFoundError, match=f"No such File object: {file.id}"):
            await gone
    assert (await client.files.list()).data == []


async def test_a_file_expires_after_the_given_time(client, service):
    file = await client.files.create(
        file=CONTENT, purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert file.expires_at == file.created_at + 3600
    service.clock.jump(3599)
    await client.files.retrieve(file.id)
    service.clock.jump(2)
    with pytest.raises(errors.NotFoundError):
        await client.files.retrieve(file.id)


async def test_invalid_json_lines_are_rejected_with_the_line_number(client):
    with pytest.raises(errors.BadRequestError, match="Line 2") as caught:
        await client.files.create(file=b'{"prompt": ""}\nnonsense\n', purpose="fine-tune")
    assert caught.value.operation == "files.create"
    assert (await client.files.list()).data == []


async def test_content_can_be_read_as_text(client):
    text = '{"prompt": "Was ist Größe?", "completion": " Sie ist…"}\n'
    file = await client.files.create(file=text.encode(), purpose="fine-tune")
    assert await client.files.content(file.id).text() == text


async def test_a_missing_local_file_is_an_error_before_anything_is_sent(backend, tmp_path):
    looking_on = Wrapper(backend)
    client = AsyncClient(backend=looking_on)
    with pytest.raises(errors.InvalidRequestError, match=r"nowhere\.jsonl"):
        await client.files.create(file=tmp_path / "nowhere.jsonl", purpose="fine-tune")
    assert looking_on.asked == []


async def test_wait_for_processing_returns_the_processed_file(backend):
    """Servers of 2023 answer `uploaded` first."""
    states = iter(["uploaded", "uploaded", "processed"])
    faults = Faults(backend)
    retrieving = faults.on("files.retrieve", nth=None)
    retrieving.edit(lambda file: {**file, "status": next(states)})
    record = CallRecorder(faults)
    client = AsyncClient(backend=record)
    file = await client.files.create(file=CONTENT, purpose="fine-tune")
    assert (await client.files.wait_for_processing(file)).status == "processed"
    record.assert_called("files.retrieve", times=3)


async def test_a_file_that_fails_processing_is_an_error_with_its_reason(backend):
    rejected = {"status": "error", "status_details": "not UTF-8"}
    faults = Faults(backend)
    faults.on("files.retrieve", nth=None).edit(lambda file: {**file, **rejected})
    client = AsyncClient(backend=faults)
    file = await client.files.create(file=CONTENT, purpose="fine-tune")
    with pytest.raises(errors.FileRejectedError, match="not UTF-8") as caught:
        await client.files.wait_for_processing(file.id)
    assert caught.value.file_id == file.id


async def test_waiting_for_processing_ends_at_the_deadline(backend, service):
    faults = Faults(backend)
    faults.on("files.retrieve", nth=None).edit(lambda file: {**file, "status": "uploaded"})
    client = AsyncClient(backend=faults)
    file = await client.files.create(file=CONTENT, purpose="fine-tune")
    began = service.clock.monotonic()
    with pytest.raises(errors.DeadlineExceededError):
        await client.files.wait_for_processing(file, deadline=10)
    assert service.clock.monotonic() - began <= 10
