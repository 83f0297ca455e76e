"""The texts in a row, whatever its format."""

from collections.abc import Iterator
from typing import Any

from tunesmith.datasets.json_types import is_list, is_object
from tunesmith.datasets.rows import Chunk, is_table

__all__ = ["row_texts", "texts_of"]

_MARKUP = {"role", "type", "id", "tool_call_id", "detail"}


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
        return [f"{data['prompt']}\x1f{data['completion']}" for _, data in chunk]
    return ["\x1f".join(texts_of(data)) for _, data in chunk]
