"""Uploads of large files: in parts, resumed after a crash, not repeated."""

import hashlib
import random

import pytest
from tests.contract.data import json_lines, pairs
from tests.contract.wrappers import Crowd, Wrapper

from tunesmith import AsyncClient, errors
from tunesmith.testing import CallRecorder, Faults

pytestmark = pytest.mark.anyio

CONTENT = json_lines(pairs(100))
PART = 1000
PARTS = -(-len(CONTENT) // PART)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(CONTENT)
    return path


def names_beside(path):
    return sorted(other.name for other in path.parent.iterdir())


def parts_sent(backend):
    return backend.asked.count("uploads.parts.create")


async def crash(backend, path, *, after_parts):
    """Upload until the network goes away, as a killed process would."""
    faults = Faults(backend)
    faults.on("uploads.parts.create", nth=after_parts + 1).refuse_connection()
    record = CallRecorder(faults)
    client = AsyncClient(backend=record, max_retries=0)
    with pytest.raises(errors.APIConnectionError):
        await client.files.upload(path, part_bytes=PART, concurrency=1)
    record.assert_called("uploads.parts.create", times=after_parts + 1)


async def test_a_small_file_is_sent_in_one_request(backend, path):
    looking_on = Wrapper(backend)
    file = await AsyncClient(backend=looking_on).files.upload(path)
    assert (file.filename, file.purpose, file.bytes) == ("train.jsonl", "fine-tune", len(CONTENT))
    assert looking_on.asked == ["files.list", "files.create"]


async def test_a_large_file_is_sent_in_parts_and_arrives_unchanged(backend, path):
    looking_on = Wrapper(backend)
    client = AsyncClient(backend=looking_on)
    file = await client.files.upload(path, part_bytes=PART, filename="kant.jsonl")
    assert parts_sent(looking_on) == PARTS
    assert looking_on.asked.count("uploads.complete") == 1
    assert (file.filename, file.purpose, file.bytes) == ("kant.jsonl", "fine-tune", len(CONTENT))
    assert await client.files.content(file.id).read() == CONTENT


async def test_parts_are_sent_concurrently_up_to_the_limit(backend, path):
    crowd = Crowd(backend, uploads__parts__create=3)
    await AsyncClient(backend=crowd).files.upload(path, part_bytes=PART, concurrency=3)
    assert crowd.most["uploads.parts.create"] == 3


@pytest.mark.parametrize("part_bytes", [PART, 1_000_000])
async def test_progress_ends_at_the_whole_size(client, path, part_bytes):
    told = []
    await client.files.upload(
        path, part_bytes=part_bytes, concurrency=2, progress=lambda *sent: told.append(sent)
    )
    sent = [sent for sent, _ in told]
    assert sent == sorted(sent)
    assert told[-1] == (len(CONTENT), len(CONTENT))


async def test_after_a_crash_only_the_missing_parts_are_sent(backend, path):
    await crash(backend, path, after_parts=3)
    assert names_beside(path) == [".train.jsonl.tunesmith-upload.json", "train.jsonl"]
    looking_on = Wrapper(backend)
    client = AsyncClient(backend=looking_on)
    told = []
    file = await client.files.upload(
        path, part_bytes=PART, progress=lambda *sent: told.append(sent)
    )
    assert parts_sent(looking_on) == PARTS - 3
    assert "uploads.create" not in looking_on.asked
    assert await client.files.content(file.id).read() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert names_beside(path) == ["train.jsonl"]


async def test_a_file_changed_after_a_crash_is_sent_from_the_beginning(backend, path):
    await crash(backend, path, after_parts=3)
    changed = json_lines(reversed(pairs(100)))
    assert len(changed) == len(CONTENT)
    path.write_bytes(changed)
    looking_on = Wrapper(backend)
    client = AsyncClient(backend=looking_on)
    file = await client.files.upload(path, part_bytes=PART)
    assert parts_sent(looking_on) == PARTS
    assert await client.files.content(file.id).read() == changed


async def test_an_upload_that_expired_after_a_crash_is_restarted(backend, service, path):
    await crash(backend, path, after_parts=3)
    service.clock.jump(3601)
    client = AsyncClient(backend=backend)
    file = await client.files.upload(path, part_bytes=PART)
    assert await client.files.content(file.id).read() == CONTENT
    assert names_beside(path) == ["train.jsonl"]


async def test_an_unreadable_resume_file_is_ignored(client, path):
    path.with_name(".train.jsonl.tunesmith-upload.json").write_text("{nonsense")
    file = await client.files.upload(path, part_bytes=PART)
    assert await client.files.content(file.id).read() == CONTENT
    assert names_beside(path) == ["train.jsonl"]


async def test_a_lost_part_is_resent(backend, path):
    faults = Faults(backend)
    faults.on("uploads.parts.create", nth=2).refuse_connection()
    faults.on("uploads.parts.create", nth=5).drop_response()
    record = CallRecorder(faults)
    client = AsyncClient(backend=record)
    file = await client.files.upload(path, part_bytes=PART)
    record.assert_called("uploads.parts.create", times=PARTS + 2)
    assert await client.files.content(file.id).read() == CONTENT


async def test_an_identical_file_is_not_resent(backend, path):
    first = await AsyncClient(backend=backend).files.upload(path)
    looking_on = Wrapper(backend)
    told = []
    again = await AsyncClient(backend=looking_on).files.upload(
        path, progress=lambda *sent: told.append(sent)
    )
    assert again.id == first.id
    assert looking_on.asked == ["files.list", "files.content"]
    assert told == [(len(CONTENT), len(CONTENT))]


async def test_an_identical_file_is_resent_on_request(client, path):
    first = await client.files.upload(path)
    again = await client.files.upload(path, reuse=False)
    assert again.id != first.id


async def test_a_file_with_the_same_size_but_other_content_is_sent(client, path):
    first = await client.files.upload(path)
    path.write_bytes(json_lines(reversed(pairs(100))))
    second = await client.files.upload(path)
    assert second.id != first.id
    assert second.bytes == first.bytes


async def test_an_identical_file_for_another_purpose_is_sent(client, path):
    first = await client.files.upload(path, purpose="fine-tune")
    second = await client.files.upload(path, purpose="batch")
    assert second.id != first.id


async def test_a_file_that_shrinks_meanwhile_is_an_error(client, path):
    def shorten(*_):
        path.write_bytes(CONTENT[: 3 * PART])

    with pytest.raises(errors.InvalidRequestError, match=r"train\.jsonl changed while"):
        await client.files.upload(path, part_bytes=PART, concurrency=1, progress=shorten)


async def test_the_resume_file_is_deleted_once_the_file_exists(backend, path):
    await crash(backend, path, after_parts=2)
    client = AsyncClient(backend=backend)
    await client.files.create(file=CONTENT, purpose="fine-tune")
    await client.files.upload(path, part_bytes=PART)
    assert names_beside(path) == ["train.jsonl"]


async def test_a_failed_comparison_does_not_prevent_the_upload(backend, path):
    first = await AsyncClient(backend=backend).files.upload(path)
    faults = Faults(backend)
    faults.on("files.content", nth=None).drop_response()
    assert (await AsyncClient(backend=faults).files.upload(path)).id != first.id


async def test_the_deadline_covers_the_whole_upload(backend, path):
    """Each call alone would be in time."""
    faults = Faults(backend)
    faults.on(nth=None).delay(3.0)
    record = CallRecorder(faults)
    client = AsyncClient(backend=record, deadline=10)
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await client.files.upload(path, part_bytes=PART, concurrency=1)
    assert caught.value.operation == "files.upload"
    assert 0 < len(record.calls("uploads.parts.create")) < PARTS


async def test_an_error_of_the_users_code_is_raised_unchanged(client, path):
    def interrupt(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.files.upload(path, part_bytes=PART, progress=interrupt)


@pytest.mark.parametrize("wrong", [{"part_bytes": 0}, {"part_bytes": 10**9}, {"concurrency": 0}])
async def test_numbers_out_of_range_are_refused_before_anything_is_sent(backend, path, wrong):
    looking_on = Wrapper(backend)
    with pytest.raises(errors.InvalidRequestError) as caught:
        await AsyncClient(backend=looking_on).files.upload(path, **wrong)
    assert {caught.value.param} == set(wrong)
    assert looking_on.asked == []


@pytest.mark.parametrize("name", ["nowhere.jsonl", "."])
async def test_an_invalid_file_argument_is_refused_before_anything_is_sent(backend, tmp_path, name):
    looking_on = Wrapper(backend)
    with pytest.raises(errors.InvalidRequestError):
        await AsyncClient(backend=looking_on).files.upload(tmp_path / name)
    assert looking_on.asked == []


async def test_an_invalid_file_is_rejected_in_parts_too(client, path):
    path.write_bytes(b"no JSON here\n" * 200)
    with pytest.raises(errors.BadRequestError, match="JSONL"):
        await client.files.upload(path, part_bytes=PART)


async def test_an_upload_can_be_made_step_by_step(client):
    content = random.Random(1).randbytes(2500)
    upload = await client.uploads.create(
        bytes=2500, filename="photo.png", mime_type="image/png", purpose="vision"
    )
    assert upload.status == "pending"
    assert upload.expires_at == upload.created_at + 3600
    parts = [
        await client.uploads.parts.create(upload.id, data=content[start : start + 1000])
        for start in range(0, 2500, 1000)
    ]
    assert {part.upload_id for part in parts} == {upload.id}
    completed = await client.uploads.complete(
        upload.id,
        part_ids=[part.id for part in parts],
        md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
    )
    assert completed.status == "completed"
    assert await client.files.content(completed.file.id).read() == content


async def test_a_wrong_checksum_is_rejected(client):
    upload = await client.uploads.create(
        bytes=3, filename="a.bin", mime_type="application/octet-stream", purpose="vision"
    )
    part = await client.uploads.parts.create(upload.id, data=b"abc")
    with pytest.raises(errors.BadRequestError, match="MD5"):
        await client.uploads.complete(upload.id, part_ids=[part.id], md5="0" * 32)


async def test_a_cancelled_upload_accepts_no_parts(client):
    upload = await client.uploads.create(
        bytes=3, filename="a.bin", mime_type="application/octet-stream", purpose="vision"
    )
    assert (await client.uploads.cancel(upload.id)).status == "cancelled"
    with pytest.raises(errors.BadRequestError, match="cancelled"):
        await client.uploads.parts.create(upload.id, data=b"abc")
