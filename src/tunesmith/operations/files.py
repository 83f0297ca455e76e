"""Operations on files."""

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import KW_ONLY, dataclass
from typing import IO, Annotated, Literal

from annotated_types import Ge
from pydantic import SkipValidation

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.types.base import Page
from tunesmith.types.files import FileDeleted, FileObject


@dataclass(frozen=True, slots=True)
class FileSource:
    """File to upload, independent of how it was passed.

    Args:
        filename: The file name to store.
        content: The bytes, or a function that opens them again for each attempt.
        content_type: The media type.
        length_bytes: The length; None if unknown.
        replayable: Whether the content can be opened more than once.
    """

    filename: str
    content: bytes | Callable[[], AsyncIterator[bytes]]
    content_type: str
    length_bytes: int | None
    replayable: bool = True


FileContentInput = str | os.PathLike[str] | bytes | IO[bytes] | AsyncIterable[bytes] | FileSource
"""Path (also as text), bytes, file opened in binary mode, or asynchronous iterable of bytes."""

FileInput = Annotated[
    FileContentInput
    | tuple[str | None, FileContentInput]
    | tuple[str | None, FileContentInput, str | None],
    # Files are opened only when the request is encoded.
    SkipValidation,
]
"""Content of a file, `(filename, content)` or `(filename, content, content_type)`."""


@operation("files.create", "POST", "/files", multipart=True, is_create=True)
class CreateFile(Operation[FileObject]):
    """Upload a file of up to 512 MB; larger files need an upload in parts.

    Args:
        file: Path (also as text), bytes, file opened in binary mode, asynchronous iterable of
            bytes, or a tuple `(filename, content)` or `(filename, content, content_type)`.
        purpose: Purpose of the file; `fine-tune` and `batch` accept only JSON Lines.
        expires_after: Time at which the service deletes the file, such as
            `{"anchor": "created_at", "seconds": 86_400}`.

    Source: https://platform.openai.com/docs/api-reference/files/create
    """

    _: KW_ONLY
    file: FileInput
    purpose: Literal["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]
    expires_after: ExpiresAfterParam | None = None


@operation("files.retrieve", "GET", "/files/{file_id}")
class RetrieveFile(Operation[FileObject]):
    """Retrieve a file's metadata.

    Args:
        file_id: ID of the file.

    Source: https://platform.openai.com/docs/api-reference/files/retrieve
    """

    file_id: str


@operation("files.list", "GET", "/files")
class ListFiles(Operation[Page[FileObject]]):
    """List files, newest first.

    Args:
        after: ID of the last file of the previous page.
        limit: Maximum number of files per page; the service's default is 10,000.
        order: Order by time of creation: `asc` or `desc`, the service's default.
        purpose: Filter by purpose.

    Source: https://platform.openai.com/docs/api-reference/files/list
    """

    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None
    order: Literal["asc", "desc"] | None = None
    purpose: str | None = None


@operation("files.delete", "DELETE", "/files/{file_id}")
class DeleteFile(Operation[FileDeleted]):
    """Delete a file.

    Args:
        file_id: ID of the file.

    Source: https://platform.openai.com/docs/api-reference/files/delete
    """

    file_id: str


@operation("files.content", "GET", "/files/{file_id}/content")
class DownloadFile(Operation[bytes]):
    """Download a file's content.

    Args:
        file_id: ID of the file.

    Source: https://platform.openai.com/docs/api-reference/files/retrieve-contents
    """

    file_id: str
