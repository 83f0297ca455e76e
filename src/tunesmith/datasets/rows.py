"""Rows: what a dataset is made of, whatever file it came from."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Literal, NamedTuple, get_args

__all__ = ["CHUNK_ROWS", "FORMATS", "Chunk", "ChunkSource", "Format", "Row", "chunks", "is_table"]

Format = Literal["completions", "chat", "dpo", "reinforcement"]
"""What a training file teaches: to complete prompts, to answer in conversations, to prefer one
answer to another, or to earn a grader's reward."""

FORMATS: tuple[Format, ...] = get_args(Format)

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

ChunkSource = Callable[[], Iterator[Chunk]]
"""Reads all rows from the first, each time it is called."""


def is_table(chunk: Chunk) -> bool:
    """Whether each row is a prompt and its completion, both texts, and nothing else."""
    rows = [data for _, data in chunk]
    if set(map(tuple, rows)) != {("prompt", "completion")}:
        return False
    kinds = {data["prompt"].__class__ for data in rows}
    kinds.update(data["completion"].__class__ for data in rows)
    return kinds == {str}


def chunks(rows: Iterable[Row], size: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """Hand on `rows` in lists of at most `size`."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
