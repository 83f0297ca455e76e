"""Columns of a table: the ones for prompts and completions, by name or by content."""

import re
from collections.abc import Iterator
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.rows import Chunk

__all__ = ["choose_columns", "column_hint", "columns_to_rows", "format_columns", "is_header"]

_NAMES = {
    "prompt": (
        *("prompt", "question", "query", "instruction", "input", "text", "sentence", "review"),
        *("user", "human", "request", "source"),
    ),
    "completion": (
        *("completion", "answer", "response", "output", "reply", "target", "assistant", "ideal"),
        *("label", "category", "class", "intent", "sentiment", "summary"),
    ),
}
"""Well-known names of columns, the most specific first."""

_LONG_NAME = 40
_LONG_NAME_WORDS = 4
_ID = re.compile(r"[!-~]*\d[!-~]*|https?://\S*|[\d\s:.,/+TZ-]*")
"""Ids, numbers, dates and addresses: no text to learn from, if most of a column's differ."""

_SENTENCE_ENDS = ("?", "!", ".", "。", "\uff1f", "؟")
_MAX_SHOWN = 10


def choose_columns(chunk: Chunk) -> dict[str, str]:
    """Return the places of columns, `prompt` and `completion`, by well-known names.

    Names are in lower case. Of several well-known names the most specific is used.
    """
    columns = {c.strip().lower() for c in _columns(chunk) if _is_scalar(chunk, c)}
    return {
        name: target
        for target, names in _NAMES.items()
        if (name := next((name for name in names if name in columns), None))
    }


def column_hint(chunk: Chunk) -> str:
    """Return a hint that names the columns to rename, by their content."""
    columns = _columns(chunk)
    if any(_is_value(column) or _is_repeated(chunk, column) for column in columns):
        return "The first row may be an example: add a header with `prompt` and `completion`."
    chosen = choose_columns(chunk)
    free = [
        column
        for column in columns
        if column.strip() and column.strip().lower() not in chosen and _is_text(chunk, column)
    ]
    missing = [target for target in _NAMES if target not in chosen.values()]
    if nested := [column for column in columns if not _is_scalar(chunk, column)]:
        return (
            f"`{nested[0]}` holds objects or lists: write the text of the answer as `completion` "
            "and that of the question as `prompt`."
        )
    if len(free) < len(missing):
        return (
            "A file needs two columns of text, `prompt` and `completion`, or conversations as "
            "`messages`."
        )
    if len(missing) == 1:
        renames = {max(free, key=lambda column: _length(chunk, column)): missing[0]}
    else:
        # Questions have question marks; otherwise the order decides among the longest texts.
        longest = sorted(free, key=lambda column: -_length(chunk, column))[:2]
        first, second = sorted(longest, key=columns.index)
        if _questions(chunk, second) > _questions(chunk, first):
            first, second = second, first
        renames = {first: "prompt", second: "completion"}
    shown = " and ".join(f"rename={{{old!r}: {new!r}}}" for old, new in renames.items())
    return f"Rename the columns for prompts and completions: {shown}."


def columns_to_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an object of columns or of rows, as pandas writes them; none of others."""
    cells = list(data.values())
    if all(map(is_list, cells)):
        is_table = len({*map(len, cells)}) == 1 and not any(
            is_object(cell) or is_list(cell) for column in cells for cell in column
        )
        return [dict(zip(data, row, strict=True)) for row in zip(*cells, strict=True)] * is_table
    if not all(map(is_object, cells)):
        return []
    index = list(cells[0])
    if index and all(list(column) == index for column in cells) and all(map(str.isdecimal, index)):
        return [{name: data[name][key] for name in data} for key in index]
    return cells if len(cells) > 1 else []


def is_header(names: list[str]) -> bool:
    """Return whether well-known names of columns for a prompt and a completion are there."""
    known = {name.strip().lower() for name in names}
    return all(known.intersection(others) for others in _NAMES.values())


def _is_value(column: str) -> bool:
    """Return whether the name of a column looks like a value of a table without a header."""
    name = column.strip()
    is_sentence = len(name.split()) > _LONG_NAME_WORDS or name.endswith(_SENTENCE_ENDS)
    return len(name) > _LONG_NAME or name.isdigit() or is_sentence


def _is_repeated(chunk: Chunk, column: str) -> bool:
    """Return whether the name of a column is a value too, as a label without a header is."""
    return any(str(value).strip() == column.strip() for value in _values(chunk, column))


def format_columns(chunk: Chunk) -> str:
    """Return the names of the columns for a message."""
    columns = _columns(chunk)
    shown = ", ".join(f"`{column}`" for column in columns[:_MAX_SHOWN])
    return f"{shown}, …" if len(columns) > _MAX_SHOWN else shown or "none"


def _columns(chunk: Chunk) -> list[str]:
    return list(dict.fromkeys(key for _, data in chunk for key in data))


def _values(chunk: Chunk, column: str) -> Iterator[Any]:
    return (data[column] for _, data in chunk if data.get(column) is not None)


def _is_scalar(chunk: Chunk, column: str) -> bool:
    return any(not isinstance(value, list | dict) for value in _values(chunk, column))


def _is_text(chunk: Chunk, column: str) -> bool:
    """Return whether a column holds texts that differ, and not numbers such as ids."""
    values = list(_values(chunk, column))
    ids = {str(value) for value in values if _ID.fullmatch(str(value).strip())}
    if len(ids) * 2 > len(values):
        return False
    texts = [value for value in values if isinstance(value, str) and not _is_number(value)]
    return len(texts) * 2 > len(values) and len({*texts}) > 1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _length(chunk: Chunk, column: str) -> int:
    return sum(len(str(value)) for value in _values(chunk, column))


def _questions(chunk: Chunk, column: str) -> int:
    return sum(str(value).rstrip().endswith("?") for value in _values(chunk, column))
