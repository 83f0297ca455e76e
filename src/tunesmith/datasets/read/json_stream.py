"""JSON files: an array of objects, or objects that follow each other, read a piece at a time."""

import json
import re
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from tunesmith._json_types import is_list, is_object, json_type_name
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.read.text import open_text, text_problem
from tunesmith.datasets.rows import Row
from tunesmith.datasets.turns import parse_cell
from tunesmith.errors import DatasetError

__all__ = ["MESSAGE_LIST", "read_json", "to_row"]

MESSAGE_LIST = re.compile(
    r'\[\s*\{\s*"(?:role|from)"\s*:\s*"[^"]*"\s*,\s*"(?:content|value|weight|name|tool_calls)"'
)
"""Beginning of a list of messages, in contrast to an array of rows."""

_PIECE_CHARACTERS = 1 << 18
_BETWEEN = re.compile(r"[\s,]*")
_INCOMPLETE_CHARACTERS = 16
"""An error this near to the end of the buffer may come from having read too little."""


def read_json(stream: BufferedReader, issues: ReadIssues, encoding: str | None) -> Iterator[Row]:
    """Read objects from an array, or one after the other.

    The array is never held as a whole: memory stays flat, whatever the size of the file.
    """
    with open_text(stream, issues, encoding) as text:
        for line, value in _JsonStream(text, issues):
            if row := to_row(line, value, issues):
                yield row
            else:
                issues.broken_line(
                    line,
                    f"This value is {json_type_name(value)}, not an object.",
                    excerpt=json.dumps(value)[:200],
                )


def to_row(line: int, value: Any, issues: ReadIssues) -> Row | None:
    """Return a value as a row: an object, or a list of messages where that is allowed."""
    if isinstance(value, str) and is_object(parsed := parse_cell(value)):
        issues.conversions.append("JSON in text to objects")
        value = parsed
    if is_object(value):
        return Row(line, value)
    if not issues.message_lists or not is_list(value) or not all(map(_is_turn, value)):
        return None
    issues.conversions.append("lists of messages to conversations")
    return Row(line, {"messages": value})


def _is_turn(value: object) -> bool:
    return is_object(value) and ("role" in value or "from" in value)


def _is_text(value: Any) -> bool:
    try:
        to_json(value)
    except PydanticSerializationError:
        return False
    return True


class _JsonStream:
    """Values of a JSON text, each with the line that it begins on."""

    def __init__(self, text: TextIOWrapper, issues: ReadIssues) -> None:
        self._text = text
        self._issues = issues
        self._decode = json.JSONDecoder(parse_constant=self._constant).raw_decode
        self._buffer = ""
        self._position = 0
        self._line = 1
        self._ended = False

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        self._skip_space()
        array = self._buffer.startswith("[", self._position)
        if array and self._issues.message_lists:
            array = not MESSAGE_LIST.match(self._buffer, self._position)
        self._position += array
        while True:
            self._skip_space()
            if self._position == len(self._buffer):
                if array:
                    raise self._error("The array is not closed: the file is incomplete")
                return
            if array and self._buffer[self._position] == "]":
                self._position += 1
                self._skip_space()
                if self._position < len(self._buffer):
                    raise self._error("Something follows the array")
                return
            line = self._line
            yield line, self._value()

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decode(self._buffer, self._position)
            except json.JSONDecodeError as error:
                is_incomplete = (
                    error.msg.startswith("Unterminated string")
                    or error.pos >= len(self._buffer) - _INCOMPLETE_CHARACTERS
                )
                if self._ended or not is_incomplete:
                    self._line += self._buffer.count("\n", self._position, error.pos)
                    raise self._error(f"This is not JSON: {error.msg}") from None
                self._read()
                continue
            except RecursionError:
                raise self._error("This value is nested too deeply") from None
            except ValueError as error:
                # Python does not convert numbers of thousands of digits.
                raise self._error(f"This is not JSON: {error}") from None
            if end == len(self._buffer) and not self._ended:
                # A number may have more digits.
                self._read()
                continue
            if r"\ud" in self._buffer[self._position : end].lower() and not _is_text(value):
                raise self._error("An escape is half a character (a lone surrogate)")
            self._line += self._buffer.count("\n", self._position, end)
            self._position = end
            return value

    def _skip_space(self) -> None:
        while True:
            space = _BETWEEN.match(self._buffer, self._position)
            end = space.end() if space else self._position
            self._line += self._buffer.count("\n", self._position, end)
            self._position = end
            if end < len(self._buffer) or self._ended:
                return
            self._read()

    def _read(self) -> None:
        rest = self._buffer[self._position :]
        if len(rest) > self._issues.max_line_bytes:
            raise self._error("This value is too long")
        # Pieces grow with the undecoded rest, so that decoding it again stays cheap.
        piece = self._text.read(max(_PIECE_CHARACTERS, len(rest)))
        self._issues.characters += len(piece)
        self._ended = not piece
        if piece and (problem := text_problem(piece, self._text.encoding)):
            before = piece.split("\0")[0] if "\0" in piece else piece
            raise DatasetError(
                problem[0],
                file=self._issues.file,
                line=self._line + rest.count("\n") + before.count("\n"),
                remedy=problem[1],
            )
        self._buffer = rest + piece
        self._position = 0

    def _constant(self, name: str) -> Any:
        raise self._error(f"{name} is not JSON")

    def _error(self, message: str) -> DatasetError:
        return DatasetError(
            f"{message}.",
            file=self._issues.file,
            line=self._line,
            remedy="Fix the file; of JSON lines (.jsonl), broken ones can be skipped.",
        )
