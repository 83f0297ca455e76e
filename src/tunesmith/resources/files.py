"""Files that the service keeps: training data, results, batches."""

import os
from collections.abc import Callable
from typing import Literal

from tunesmith.calls.deadline import Deadline
from tunesmith.errors import FileRejectedError
from tunesmith.operations.files import (
    CreateFile,
    DeleteFile,
    DownloadFile,
    ListFiles,
    RetrieveFile,
)
from tunesmith.resources.base import Resource, operation_method, paged, validate_poll_interval
from tunesmith.resources.file_content import FileContent
from tunesmith.resources.file_upload import PART_BYTES, FileUpload
from tunesmith.types.files import FileObject

__all__ = ["Files"]

_PENDING_STATUSES = frozenset({"uploaded", "pending", "running", "processing"})


class Files(Resource):
    """Files that the service keeps."""

    create = operation_method(CreateFile)
    retrieve = operation_method(RetrieveFile)
    list = paged(ListFiles)
    delete = operation_method(DeleteFile)

    def content(self, file_id: str) -> FileContent:
        """Get at a file's content: read it whole, go through it in chunks, or write it to disk.

        Nothing is sent yet; see `FileContent`.

        Args:
            file_id: The file's id.

        Example:
            ```python
            data = await client.files.content(file.id).read()
            await client.files.content(file.id).write_to("copy.jsonl")
            ```
        """
        return FileContent(self.caller, DownloadFile(file_id))

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
        """Send a file of any size, in parts if it is large, and only if it is not there yet.

        A large file's parts that have arrived are noted in a small file beside it
        (`.NAME.tunesmith-upload.json`, removed at the end), so that the next call goes on where a
        crash left off. The service keeps an unfinished upload for an hour.

        Args:
            path: The file.
            purpose: What it is for.
            filename: The name that the service shall keep; the path's by default.
            reuse: Whether to answer with a file of the same purpose, size and content that the
                service already has. Where sizes agree, that one is downloaded to compare, up to
                the first difference.
            part_bytes: Above this size the file goes in parts of this size; at most 64 MB.
            concurrency: How many parts are sent at the same time.
            progress: Called with the bytes that were sent and the bytes in all.

        Raises:
            InvalidRequestError: The file cannot be read, changes while it is being sent, or a
                number is out of range.
            DeadlineExceededError: The time is up; with its parts noted, the next call goes on.
            APIError: A call went wrong.

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
        found = await upload.find_duplicate() if reuse else None
        return found or await upload.send()

    async def wait_for_processing(
        self,
        file: FileObject | str,
        *,
        deadline: float | None = None,
        poll_interval: float = 1.0,
    ) -> FileObject:
        """Wait until the service has looked through a file.

        Services of today are done at once; servers that know no status count as done, too.

        Args:
            file: The file or its id.
            deadline: Seconds that it may take; by default the client's.
            poll_interval: Seconds between two looks.

        Raises:
            FileRejectedError: The service found the file to be wrong.
            DeadlineExceededError: The time is up.
        """
        validate_poll_interval(poll_interval)
        file_id = file if isinstance(file, str) else file.id
        seconds = self.caller.policy.deadline_s if deadline is None else deadline
        limit = Deadline(self.caller.clock, seconds, "files.wait_for_processing")
        while True:
            state = await self.caller.call(RetrieveFile(file_id), deadline=limit)
            if state.status == "error":
                raise FileRejectedError(
                    f"file {file_id} was rejected: {state.status_details or 'no reason is given'}",
                    file_id=file_id,
                )
            if state.status not in _PENDING_STATUSES:
                return state
            await limit.sleep(poll_interval, activity="waiting for the file to be processed")
