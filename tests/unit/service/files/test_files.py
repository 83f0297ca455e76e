"""Files are kept, listed, checked, deleted, and expire."""

import pytest

from tunesmith.operations.files import (
    CreateFile,
    DeleteFile,
    DownloadFile,
    ListFiles,
    RetrieveFile,
)
from tunesmith.service.core.errors import ServiceError

pytestmark = pytest.mark.anyio


async def test_a_file_is_processed_at_once_and_can_be_read_back(service):
    content = b'{"prompt": "a", "completion": "b"}\n'
    file = await service.execute(
        CreateFile(file=("a.jsonl", content, "text/plain"), purpose="fine-tune")
    )
    assert file.model_dump(exclude_unset=True) == {
        "id": file.id,
        "object": "file",
        "bytes": len(content),
        "created_at": 1_700_000_000,
        "filename": "a.jsonl",
        "purpose": "fine-tune",
        "status": "processed",
    }
    assert len(file.id) == len("file-") + 24
    assert await service.execute(RetrieveFile(file.id)) == file
    assert await service.execute(DownloadFile(file.id)) == content


async def test_an_unknown_file_is_the_services_404(service):
    for operation in (RetrieveFile("file-x"), DeleteFile("file-x"), DownloadFile("file-x")):
        with pytest.raises(ServiceError) as caught:
            await service.execute(operation)
        assert caught.value.status == 404
        assert caught.value.body() == {
            "error": {
                "message": "No such File object: file-x",
                "type": "invalid_request_error",
                "param": "id",
                "code": None,
            }
        }


@pytest.mark.parametrize("purpose", ["fine-tune", "batch"])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"hello", 1),
        (b'{"a": 1}\n[1]\n', 2),
        (b'{"a": 1}\n\n{"a"\n', 3),
        (b"\xff\xfe", 1),
        (b"[" * 99_999, 1),
        # Half a surrogate pair: no answer that quotes it could be written.
        (b'{"a": 1}\n{"\\ud800": 1}\n', 2),
    ],
)
async def test_what_is_not_json_lines_is_refused_with_its_line(service, purpose, content, line):
    with pytest.raises(ServiceError) as caught:
        await service.execute(CreateFile(file=content, purpose=purpose))
    assert caught.value.status == 400
    assert caught.value.message.startswith(
        "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
        f"Line {line} is not a dictionary"
    )


async def test_other_purposes_take_anything(service):
    file = await service.execute(CreateFile(file=b"\x00\xff", purpose="assistants"))
    assert file.bytes == 2


async def test_an_empty_training_file_is_refused(service):
    with pytest.raises(ServiceError, match="File is empty"):
        await service.execute(CreateFile(file=b"\n", purpose="fine-tune"))


async def test_files_are_listed_by_pages_in_either_order_and_by_purpose(service):
    ids = [
        (await service.execute(CreateFile(file=b"x", purpose=purpose))).id
        for purpose in ("assistants", "vision", "assistants", "vision")
    ]
    page = await service.execute(ListFiles(limit=3))
    assert [file.id for file in page.data] == ids[:0:-1]
    assert (page.has_more, page.first_id, page.last_id) == (True, ids[3], ids[1])
    rest = await service.execute(ListFiles(limit=3, after=page.last_id))
    assert ([file.id for file in rest.data], rest.has_more) == ([ids[0]], False)
    oldest = await service.execute(ListFiles(order="asc", limit=1))
    assert oldest.data[0].id == ids[0]
    vision = await service.execute(ListFiles(purpose="vision"))
    assert [file.id for file in vision.data] == [ids[3], ids[1]]


async def test_a_page_has_at_most_ten_thousand_files(service):
    with pytest.raises(ServiceError, match="10001 is greater than the maximum of 10000 - 'limit'"):
        await service.execute(ListFiles(limit=10_001))


async def test_a_deleted_file_is_gone(service):
    file = await service.execute(CreateFile(file=b"x", purpose="assistants"))
    deleted = await service.execute(DeleteFile(file.id))
    assert deleted.model_dump() == {"id": file.id, "object": "file", "deleted": True}
    assert (await service.execute(ListFiles())).data == []


async def test_a_file_expires(service):
    expires = {"anchor": "created_at", "seconds": 3600}
    file = await service.execute(CreateFile(file=b"x", purpose="assistants", expires_after=expires))
    assert file.expires_at == file.created_at + 3600
    service.clock.jump(3599)
    await service.execute(RetrieveFile(file.id))
    service.clock.jump(1)
    with pytest.raises(ServiceError, match="No such File object"):
        await service.execute(RetrieveFile(file.id))


async def test_what_is_no_content_is_refused(service):
    with pytest.raises(ServiceError, match="content is missing"):
        await service.execute(CreateFile(file="a string from a form", purpose="assistants"))
