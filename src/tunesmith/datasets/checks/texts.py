"""The texts in a row, whatever its format."""

from collections.abc import Iterable, Iterator
from typing import Any

from tunesmith.datasets.json_types import is_list, is_object
from tunesmith.datasets.rows import Chunk, columns, is_table

__all__ = ["find_markers", "pair_texts", "row_texts", "texts_of"]

_MARKUP = {"role", "type", "id", "tool_call_id", "detail"}
_SEPARATOR = "\x1f"


def texts_of(value: Any) -> Iterator[str]:
    """All texts in a row, but for those that are the API's own words, and images in the row."""
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield value
    elif is_object(value):
        for key, item in value.items():
            if key not in _MARKUP:
                yield from texts_of(item)
    elif is_list(value):
        for item in value:
            yield from texts_of(item)


def row_texts(chunk: Chunk) -> list[str]:
    """Each row's texts as one."""
    if is_table(chunk):
        return pair_texts(*columns(chunk))
    return [_SEPARATOR.join(texts_of(data)) for _, data in chunk]


def pair_texts(prompts: list[str], completions: list[str]) -> list[str]:
    """The texts of each row of a table as one."""
    return list(map(_SEPARATOR.join, zip(prompts, completions, strict=True)))


def find_markers(text: str, signs: Iterable[str]) -> list[str]:
    """Those of `signs` that a long text holds."""
    # A single character is found quickest, and most texts do not even hold the last one.
    return [sign for sign in signs if sign[-1] in text and sign in text]
