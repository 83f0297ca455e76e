"""Rows of a dataset, whatever file they come from, and chunks of them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple

__all__ = [
    "CHUNK_CHARACTERS",
    "CHUNK_ROWS",
    "CancellationCheck",
    "Chunk",
    "ChunkSource",
    "Row",
    "cancellable",
    "chunks",
    "columns",
    "is_table",
    "never_cancelled",
]

CHUNK_ROWS = 1000
"""Rows handled at a time: enough for loops in C, few enough for flat memory."""

CHUNK_CHARACTERS = 1 << 23
"""Characters after which a chunk of long rows ends."""

_STEP = 4


class Row(NamedTuple):
    """Example and its place in the file.

    Attributes:
        line: The line that it begins on, counted from 1 (in a sheet or a parquet file, the row;
            among rows given as objects, the position).
        data: Its fields. Transforms may change them, so that passes never share them.
    """

    line: int
    data: dict[str, Any]


Chunk = list[Row]
"""Rows that are handled together."""

ChunkSource = Callable[[], Iterator[Chunk]]
"""Function that reads all rows from the first, each time it is called."""

CancellationCheck = Callable[[], None]
"""Function called between chunks; raises if the caller has been cancelled."""


def never_cancelled() -> None:
    """Do nothing, for callers that cannot be cancelled."""


def cancellable(source: ChunkSource, check_cancelled: CancellationCheck) -> ChunkSource:
    """Return a source that checks for cancellation before each chunk."""

    def read() -> Iterator[Chunk]:
        for chunk in source():
            check_cancelled()
            yield chunk

    return read


def is_table(chunk: Chunk) -> bool:
    """Return whether each row is a prompt and its completion, both text, and nothing else."""
    # All keys and all texts at once, so that the loops run in C.
    rows = [data for _, data in chunk]
    if list(chain.from_iterable(rows)) != ["prompt", "completion"] * len(rows):
        return False
    return set(map(type, chain.from_iterable(data.values() for data in rows))) == {str}


def columns(table: Chunk) -> tuple[list[str], list[str]]:
    """Return the prompts and the completions of a table."""
    rows = [data for _, data in table]
    return list(map(itemgetter("prompt"), rows)), list(map(itemgetter("completion"), rows))


def chunks(rows: Iterable[Row], characters_read: Callable[[], int]) -> Iterator[Chunk]:
    """Group rows into lists that are limited in rows and, about, in characters.

    Args:
        rows: The rows.
        characters_read: Returns the number of characters read so far.
    """
    iterator = iter(rows)
    chunk: Chunk = []
    limit = characters_read() + CHUNK_CHARACTERS
    while rest := list(islice(iterator, _STEP)):
        chunk += rest
        if len(chunk) >= CHUNK_ROWS or characters_read() > limit:
            yield chunk
            chunk = []
            limit = characters_read() + CHUNK_CHARACTERS
    if chunk:
        yield chunk
