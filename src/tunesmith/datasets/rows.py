"""Rows: what a dataset is made of, whatever file it came from."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Literal, NamedTuple, get_args

__all__ = [
    "CHUNK_ROWS",
    "FORMATS",
    "Chunk",
    "ChunkSource",
    "Format",
    "Row",
    "chunks",
    "columns",
    "is_table",
]

Format = Literal["completions", "chat", "dpo", "reinforcement"]
"""What a training file teaches: to complete prompts, to answer in conversations, to prefer one
answer to another, or to earn a grader's reward."""

FORMATS: tuple[Format, ...] = get_args(Format)
"""Every format."""

CHUNK_ROWS = 1000
"""Rows handled at a time: enough for C to do the loops, few enough to keep memory flat."""


class Row(NamedTuple):
    """One example, and where it was found.

    Attributes:
        line: The line of the file it begins on, counted from 1 (in a sheet or a parquet file, the
            row; among rows given as objects, the position).
        data: Its fields. A repair may change them, so that a pass never shares them with another.
    """

    line: int
    data: dict[str, Any]


Chunk = list[Row]
"""Some rows that are handled at a time."""

ChunkSource = Callable[[], Iterator[Chunk]]
"""Reads all rows from the first, each time it is called."""


def is_table(chunk: Chunk) -> bool:
    """Whether each row is a prompt and its completion, both texts, and nothing else."""
    # All keys and all texts at once, so that C does the loops.
    rows = [data for _, data in chunk]
    if list(chain.from_iterable(rows)) != ["prompt", "completion"] * len(rows):
        return False
    return set(map(type, chain.from_iterable(data.values() for data in rows))) == {str}


def columns(table: Chunk) -> tuple[list[str], list[str]]:
    """The prompts and the completions of a table."""
    rows = [data for _, data in table]
    return list(map(itemgetter("prompt"), rows)), list(map(itemgetter("completion"), rows))


def chunks(rows: Iterable[Row], size: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """Hand on `rows` in lists of at most `size`."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
