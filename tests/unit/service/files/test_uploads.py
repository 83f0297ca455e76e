"""Large files come in parts, which become one file."""

import hashlib

import pytest

from tunesmith.operations.files import DownloadFile
from tunesmith.operations.uploads import (
    CancelUpload,
    CompleteUpload,
    CreateUpload,
    CreateUploadPart,
)
from tunesmith.service.core.errors import ServiceError

pytestmark = pytest.mark.anyio

_CONTENT = b'{"a": 1}\n{"b": 2}\n'


@pytest.fixture
async def upload(service):
    return await service.execute(
        CreateUpload(
            bytes=len(_CONTENT), filename="a.jsonl", mime_type="text/jsonl", purpose="fine-tune"
        )
    )


@pytest.fixture
async def parts(service, upload):
    """The second half, and then the first one."""
    halves = (_CONTENT[9:], _CONTENT[:9])
    return [
        (await service.execute(CreateUploadPart(upload.id, data=("part", half, None)))).id
        for half in halves
    ]


async def test_an_upload_waits_for_an_hour(upload):
    assert upload.status == "pending"
    assert upload.expires_at == upload.created_at + 3600
    assert upload.file is None


async def test_the_order_of_the_parts_is_the_one_asked_for(service, upload, parts):
    done = await service.execute(
        CompleteUpload(
            upload.id,
            part_ids=parts[::-1],
            md5=hashlib.md5(_CONTENT, usedforsecurity=False).hexdigest(),
        )
    )
    assert done.status == "completed"
    assert (done.file.filename, done.file.purpose, done.file.bytes) == ("a.jsonl", "fine-tune", 18)
    assert await service.execute(DownloadFile(done.file.id)) == _CONTENT


async def test_a_completed_upload_takes_nothing_more(service, upload, parts):
    await service.execute(CompleteUpload(upload.id, part_ids=parts[::-1]))
    for operation in (
        CreateUploadPart(upload.id, data=b"x"),
        CompleteUpload(upload.id, part_ids=parts),
        CancelUpload(upload.id),
    ):
        with pytest.raises(ServiceError, match="is completed, not pending"):
            await service.execute(operation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part_ids": slice(0, 1)}, "add up to 9 bytes, but the upload was created for 18"),
        ({"md5": "0" * 32}, "MD5 checksum is"),
        ({"extra": ["part_x"]}, "No such part of this upload: part_x"),
        ({"twice": True}, "named more than once"),
    ],
)
async def test_what_does_not_fit_is_refused_and_can_be_put_right(
    service, upload, parts, change, message
):
    ids = parts[::-1][change.get("part_ids", slice(None))] + change.get("extra", [])
    if "twice" in change:
        ids = [ids[0], ids[0]]
    with pytest.raises(ServiceError, match=message):
        await service.execute(CompleteUpload(upload.id, part_ids=ids, md5=change.get("md5")))
    done = await service.execute(CompleteUpload(upload.id, part_ids=parts[::-1]))
    assert done.status == "completed"


async def test_content_is_checked_as_that_of_a_plain_file(service, upload, parts):
    other = await service.execute(
        CreateUpload(bytes=1, filename="a", mime_type="text/plain", purpose="fine-tune")
    )
    part = await service.execute(CreateUploadPart(other.id, data=b"x"))
    with pytest.raises(ServiceError, match="Expected file to have JSONL format"):
        await service.execute(CompleteUpload(other.id, part_ids=[part.id]))


async def test_a_cancelled_upload_is_over(service, upload, parts):
    assert (await service.execute(CancelUpload(upload.id))).status == "cancelled"
    with pytest.raises(ServiceError, match="is cancelled, not pending"):
        await service.execute(CompleteUpload(upload.id, part_ids=parts))


async def test_an_upload_expires_after_an_hour(service, upload, parts):
    service.clock.jump(3600)
    with pytest.raises(ServiceError, match="is expired, not pending"):
        await service.execute(CompleteUpload(upload.id, part_ids=parts[::-1]))


async def test_an_unknown_upload_is_a_404(service):
    with pytest.raises(ServiceError, match="No such Upload object: upload_x") as caught:
        await service.execute(CancelUpload("upload_x"))
    assert caught.value.status == 404


async def test_more_than_eight_gigabytes_are_refused(service):
    with pytest.raises(ServiceError, match="too large"):
        await service.execute(
            CreateUpload(
                bytes=8 * 1024**3 + 1, filename="a", mime_type="text/plain", purpose="batch"
            )
        )
