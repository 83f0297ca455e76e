"""JSON files: an array of objects, or objects one after the other, read a piece at a time."""

import json
import re
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from tunesmith.datasets.json_types import is_object, json_type_name
from tunesmith.datasets.read.log import ReadIssues
from tunesmith.datasets.read.text import open_text, text_problem
from tunesmith.datasets.rows import Row
from tunesmith.errors import DatasetError

__all__ = ["read_json"]

_PIECE_CHARACTERS = 1 << 18
_BETWEEN = re.compile(r"[\s,]*")
_NEAR_THE_END = 16
"""An error so few characters before the end of what was read may come of having read too little."""


def read_json(stream: BufferedReader, log: ReadIssues, encoding: str | None) -> Iterator[Row]:
    """Read objects from an array, or one after the other as in JSON lines.

    The array is never held whole: memory stays flat, whatever the file's size.
    """
    with open_text(stream, log, encoding) as text:
        for line, value in _JsonStream(text, log):
            if is_object(value):
                yield Row(line, value)
            else:
                log.broken_line(
                    line,
                    f"This value is {json_type_name(value)}, not an object.",
                    excerpt=json.dumps(value)[:200],
                )


def _is_text(value: Any) -> bool:
    try:
        to_json(value)
    except PydanticSerializationError:
        return False
    return True


class _JsonStream:
    """The values in a JSON text, each with the line that it begins on."""

    def __init__(self, text: TextIOWrapper, log: ReadIssues) -> None:
        self._text = text
        self._log = log
        self._decode = json.JSONDecoder(parse_constant=self._constant).raw_decode
        self._buffer = ""
        self._at = 0
        self._line = 1
        self._ended = False

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        self._skip_space()
        array = self._buffer.startswith("[", self._at)
        if array:
            self._at += 1
        while True:
            self._skip_space()
            if self._at == len(self._buffer):
                if array:
                    raise self._error("The array is not closed: the file is cut off")
                return
            if array and self._buffer[self._at] == "]":
                self._at += 1
                self._skip_space()
                if self._at < len(self._buffer):
                    raise self._error("Something follows the array")
                return
            line = self._line
            yield line, self._value()

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                too_little = (
                    error.msg.startswith("Unterminated string")
                    or error.pos >= len(self._buffer) - _NEAR_THE_END
                )
                if self._ended or not too_little:
                    self._line += self._buffer.count("\n", self._at, error.pos)
                    raise self._error(f"This is not JSON: {error.msg}") from None
                self._read()
                continue
            except RecursionError:
                raise self._error("This value is nested too deeply") from None
            except ValueError as error:
                # Python converts no numbers of thousands of digits.
                raise self._error(f"This is not JSON: {error}") from None
            if end == len(self._buffer) and not self._ended:
                # A number may go on.
                self._read()
                continue
            if r"\ud" in self._buffer[self._at : end].lower() and not _is_text(value):
                raise self._error("Half a character is escaped (a lone surrogate)")
            self._line += self._buffer.count("\n", self._at, end)
            self._at = end
            return value

    def _skip_space(self) -> None:
        while True:
            found = _BETWEEN.match(self._buffer, self._at)
            end = found.end() if found else self._at
            self._line += self._buffer.count("\n", self._at, end)
            self._at = end
            if end < len(self._buffer) or self._ended:
                return
            self._read()

    def _read(self) -> None:
        kept = self._buffer[self._at :]
        if len(kept) > self._log.max_line_bytes:
            raise self._error("This value is too long")
        # Pieces grow with what could not be decoded, or decoding it over and over would take long.
        piece = self._text.read(max(_PIECE_CHARACTERS, len(kept)))
        self._ended = not piece
        if piece and (problem := text_problem(piece, self._text.encoding)):
            before = piece.split("\0")[0] if "\0" in piece else piece
            raise DatasetError(
                problem[0],
                file=self._log.file,
                line=self._line + kept.count("\n") + before.count("\n"),
                remedy=problem[1],
            )
        self._buffer = kept + piece
        self._at = 0

    def _constant(self, name: str) -> Any:
        raise self._error(f"{name} is not JSON")

    def _error(self, message: str) -> DatasetError:
        return DatasetError(
            f"{message}.",
            file=self._log.file,
            line=self._line,
            remedy="Mend the file; JSON lines (.jsonl) can be read around broken lines.",
        )
