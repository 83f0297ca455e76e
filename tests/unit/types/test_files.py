"""Files and uploads, as services answer them."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tunesmith.types import FileDeleted, FileObject, Page, Upload, UploadPart

FILE = {
    "object": "file",
    "id": "file-abc123",
    "purpose": "fine-tune",
    "filename": "kant.jsonl",
    "bytes": 120000,
    "created_at": 1677610602,
    "expires_at": 1677614202,
    "status": "processed",
    "status_details": None,
}


def test_a_file_keeps_the_fields_and_numbers_of_the_api():
    file = FileObject.model_validate(FILE)
    assert file.model_dump() == FILE


def test_times_are_also_aware_datetimes():
    file = FileObject.model_validate(FILE)
    assert file.created_datetime == datetime(2023, 2, 28, 18, 56, 42, tzinfo=UTC)
    assert file.expires_datetime == datetime(2023, 2, 28, 19, 56, 42, tzinfo=UTC)


def test_a_file_may_have_nothing_but_its_id():
    file = FileObject.model_validate({"id": "file-1"})
    assert (file.bytes, file.status, file.created_datetime) == (None, None, None)


def test_a_file_without_an_id_is_none():
    with pytest.raises(ValidationError, match="id"):
        FileObject.model_validate({"filename": "kant.jsonl"})


@pytest.mark.parametrize("purpose", ["fine-tune-train", "evals", "batch_output", "ocr"])
def test_purposes_and_states_that_nobody_declared_are_kept(purpose):
    file = FileObject.model_validate({**FILE, "purpose": purpose, "status": "deleting"})
    assert (file.purpose, file.status) == (purpose, "deleting")


@pytest.mark.parametrize("details", [None, "line 3 is no JSON", {"line": 3}])
def test_status_details_are_text_or_as_in_2022_an_object(details):
    assert FileObject.model_validate({**FILE, "status_details": details}).status_details == details


def test_unknown_fields_are_kept():
    assert FileObject.model_validate({**FILE, "sha256": "ab"}).model_dump()["sha256"] == "ab"


def test_a_deleted_file():
    deleted = FileDeleted.model_validate({"object": "file", "id": "file-1", "deleted": True})
    assert deleted.deleted


def test_a_page_of_files():
    page = Page[FileObject].model_validate({"object": "list", "data": [FILE], "has_more": False})
    assert [file.filename for file in page.data] == ["kant.jsonl"]


def test_a_completed_upload_holds_its_file():
    upload = Upload.model_validate(
        {
            "id": "upload_abc123",
            "object": "upload",
            "bytes": 2147483648,
            "created_at": 1719184911,
            "filename": "kant.jsonl",
            "purpose": "fine-tune",
            "status": "completed",
            "expires_at": 1719188511,
            "file": FILE,
        }
    )
    assert upload.file == FileObject.model_validate(FILE)
    assert upload.expires_datetime is not None
    assert upload.created_datetime is not None
    assert (upload.expires_datetime - upload.created_datetime).total_seconds() == 3600


def test_a_pending_upload_has_no_file():
    upload = Upload.model_validate({"id": "upload_1", "status": "pending", "file": None})
    assert (upload.file, upload.expires_datetime) == (None, None)


def test_a_part_names_its_upload():
    part = UploadPart.model_validate(
        {
            "id": "part_def456",
            "object": "upload.part",
            "created_at": 1719185911,
            "upload_id": "upload_abc123",
        }
    )
    assert part.upload_id == "upload_abc123"
    assert part.created_datetime == datetime(2024, 6, 23, 23, 38, 31, tzinfo=UTC)
