"""What can be asked about files."""

import os
from collections.abc import AsyncIterable
from dataclasses import KW_ONLY
from typing import IO, Annotated, Literal

from annotated_types import Ge, Le
from pydantic import SkipValidation
from typing_extensions import TypedDict

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.file_source import FileSource
from tunesmith.types.base import Page
from tunesmith.types.files import FileDeleted, FileObject

FileContentInput = str | os.PathLike[str] | bytes | IO[bytes] | AsyncIterable[bytes] | FileSource
"""A path (a str is a path, too), bytes, a file open for reading bytes, or an async iterator."""

FileInput = Annotated[
    FileContentInput
    | tuple[str | None, FileContentInput]
    | tuple[str | None, FileContentInput, str | None],
    # Nothing is opened or read before the request is encoded.
    SkipValidation,
]
"""A file's content, `(filename, content)` or `(filename, content, content_type)`."""


class ExpiresAfterParam(TypedDict):
    """When the service shall delete a file: `seconds` after `anchor`, one hour to 30 days."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Ge(3_600), Le(2_592_000)]


@operation("files.create", "POST", "/files", multipart=True, creates=True)
class CreateFile(Operation[FileObject]):
    """Send a file of up to 512 MB; larger ones go through uploads.

    Args:
        file: A path (a str is a path, too), bytes, a file open for reading bytes, an async iterator
            of bytes, or a tuple `(filename, content)` or `(filename, content, content_type)` of
            these.
        purpose: What the file is for; `fine-tune` and `batch` take JSON Lines only.
        expires_after: When the service shall delete the file, such as
            `{"anchor": "created_at", "seconds": 86_400}`.

    Source: https://platform.openai.com/docs/api-reference/files/create
    """

    _: KW_ONLY
    file: FileInput
    purpose: Literal["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]
    expires_after: ExpiresAfterParam | None = None


@operation("files.retrieve", "GET", "/files/{file_id}")
class RetrieveFile(Operation[FileObject]):
    """Look up one file, without its content.

    Args:
        file_id: The file's id.

    Source: https://platform.openai.com/docs/api-reference/files/retrieve
    """

    file_id: str


@operation("files.list", "GET", "/files")
class ListFiles(Operation[Page[FileObject]]):
    """List the files that the service keeps, newest first.

    Args:
        after: The id of the last file seen; the page begins after it.
        limit: At most so many files a page; the service's default is 10,000.
        order: By time of creation; the service's default is `desc`, newest first.
        purpose: Only files with this purpose.

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
        file_id: The file's id.

    Source: https://platform.openai.com/docs/api-reference/files/delete
    """

    file_id: str


@operation("files.content", "GET", "/files/{file_id}/content")
class DownloadFile(Operation[bytes]):
    """Fetch a file's content.

    Args:
        file_id: The file's id.

    Source: https://platform.openai.com/docs/api-reference/files/retrieve-contents
    """

    file_id: str
