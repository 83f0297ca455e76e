"""Files: training data, results and batches."""

import os
from collections.abc import Callable, Mapping
from typing import Literal

from tunesmith.errors import FileRejectedError
from tunesmith.operations.files import (
    CreateFile,
    DeleteFile,
    DownloadFile,
    ListFiles,
    RetrieveFile,
)
from tunesmith.resources.base import Resource, build_operation, operation_method, paged
from tunesmith.resources.file_content import FileContent
from tunesmith.resources.file_upload import PART_BYTES, FileUpload
from tunesmith.resources.polling import wait_until
from tunesmith.types.files import FileObject

__all__ = ["Files"]

_PENDING_STATUSES = frozenset({"uploaded", "pending", "running", "processing"})


class Files(Resource):
    """Files: training data, results and batches."""

    create = operation_method(CreateFile)
    retrieve = operation_method(RetrieveFile)
    list = paged(ListFiles)
    delete = operation_method(DeleteFile)

    def content(
        self,
        file_id: str,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> FileContent:
        """Return a file's content, to be read whole, in chunks, or written to disk.

        Nothing is requested before it is read; see `FileContent`.

        Args:
            file_id: ID of the file.
            extra_headers: Headers to send with this call.
            extra_query: Further query parameters.
            timeout: Seconds each attempt of this call may take.

        Example:
            ```python
            data = await client.files.content(file.id).read()
            await client.files.content(file.id).write_to("copy.jsonl")
            ```
        """
        operation = build_operation(
            DownloadFile,
            file_id,
            extra_headers=extra_headers,
            extra_query=extra_query,
            timeout=timeout,
        )
        return FileContent(self.caller, operation)

    async def upload(
        self,
        path: str | os.PathLike[str],
        *,
        purpose: Literal["assistants", "batch", "fine-tune", "vision"] = "fine-tune",
        filename: str | None = None,
        reuse: bool = True,
        part_bytes: int = PART_BYTES,
        concurrency: int = 4,
        progress: Callable[[int, int], None] | None = None,
    ) -> FileObject:
        """Upload a file of any size, in parts if it is large, unless it exists already.

        The uploaded parts of a large file are recorded in a small file beside it
        (`.NAME.tunesmith-upload.json`, removed at the end), so that the next call resumes after a
        crash. The service keeps an unfinished upload for an hour.

        Args:
            path: The file.
            purpose: Purpose of the file.
            filename: File name to store; the path's by default.
            reuse: Whether to return an existing file of the same purpose, size and content. Files
                of the same size are downloaded up to the first difference.
            part_bytes: Size above which the file is uploaded in parts of this size, at most 64 MB.
            concurrency: Number of parts to upload concurrently.
            progress: Function called with the number of bytes sent and the total.

        Raises:
            InvalidRequestError: The file cannot be read, changes while it is uploaded, or a number
                is out of range.
            DeadlineExceededError: The deadline passed; call again to resume.
            APIError: A call failed.

        Example:
            ```python
            file = await client.files.upload("train.jsonl", purpose="fine-tune")
            ```
        """
        upload = FileUpload(
            self.caller,
            path,
            purpose=purpose,
            filename=filename,
            part_bytes=part_bytes,
            concurrency=concurrency,
            progress=progress,
        )
        duplicate = await upload.find_duplicate() if reuse else None
        return duplicate or await upload.send()

    async def wait_for_processing(
        self,
        file: FileObject | str,
        *,
        deadline: float | None = None,
        poll_interval: float = 1.0,
        max_wait_seconds: float | None = None,
    ) -> FileObject:
        """Wait until the service has processed a file.

        Current services process files at once; files without a status count as processed.

        Args:
            file: The file or its ID.
            deadline: Seconds to wait; the client's deadline by default.
            poll_interval: Seconds between polls.
            max_wait_seconds: `deadline` by its name in the official SDK.

        Raises:
            FileRejectedError: The service rejected the file.
            DeadlineExceededError: The deadline passed.
        """
        file_id = file if isinstance(file, str) else file.id
        processed = await wait_until(
            self.caller,
            "files.wait_for_processing",
            RetrieveFile(file_id),
            lambda polled: polled.status not in _PENDING_STATUSES,
            deadline_s=max_wait_seconds if deadline is None else deadline,
            poll_s=poll_interval,
            activity="waiting for the file to be processed",
        )
        if processed.status == "error":
            reason = processed.status_details or "no reason is given"
            raise FileRejectedError(f"file {file_id} was rejected: {reason}", file_id=file_id)
        return processed
