"""A file to send, however it was given."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file to send.

    Args:
        filename: The name that the service shall keep.
        content: The bytes, or a function that opens them afresh.
        content_type: The media type.
        length_bytes: The length; None if it shows only at the end.
        replayable: Whether the content can be opened more than once.
    """

    filename: str
    content: bytes | Callable[[], AsyncIterator[bytes]]
    content_type: str
    length_bytes: int | None
    replayable: bool = True
