"""Texts of a row, whatever its format, and statistics of their letters."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.rows import Chunk, columns, is_table

__all__ = ["CaseStats", "find_markers", "pair_texts", "row_texts", "texts_of"]

_MARKUP = {"role", "type", "id", "tool_call_id", "detail"}
_SEPARATOR = "\x1f"


def texts_of(value: Any) -> Iterator[str]:
    """Yield the texts of a row, without the API's own words and without image data."""
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
    """Return the texts of each row, joined."""
    if is_table(chunk):
        return pair_texts(*columns(chunk))
    return [_SEPARATOR.join(texts_of(data)) for _, data in chunk]


def pair_texts(prompts: list[str], completions: list[str]) -> list[str]:
    """Return the texts of each row of a table, joined."""
    return list(map(_SEPARATOR.join, zip(prompts, completions, strict=True)))


def find_markers(text: str, markers: Iterable[str]) -> list[str]:
    """Return the markers that a long text contains."""
    # A single character is found quickest, and most texts do not even have the last one.
    return [marker for marker in markers if marker[-1] in text and marker in text]


_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ASCII = re.compile("[\x00-\x7f]+")


class CaseStats:
    """Counter of letters in upper and in lower case, and of letters without case."""

    def __init__(self) -> None:
        self._upper = 0
        self._lower = 0
        self._without_case = 0

    def update(self, text: str) -> None:
        """Count the letters of a text."""
        raw = text.encode(errors="surrogatepass")
        # Most letters are in lower case, so that little is left for the second search.
        rest = raw.translate(None, _UPPER.lower())
        self._lower += len(raw) - len(rest)
        self._upper += len(rest) - len(rest.translate(None, _UPPER))
        if not text.isascii():
            letters = [character for character in _ASCII.sub("", text) if character.isalpha()]
            upper, lower = sum(map(str.isupper, letters)), sum(map(str.islower, letters))
            self._upper += upper
            self._lower += lower
            self._without_case += len(letters) - upper - lower

    @property
    def mostly_upper(self) -> bool:
        """Whether more than a third of the letters are in upper case, in a script with case."""
        cased = self._upper + self._lower
        # Names such as GPT stand out in a script without case.
        return self._upper * 2 > self._lower and cased > self._without_case * 4
