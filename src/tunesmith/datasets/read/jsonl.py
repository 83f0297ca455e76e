"""JSON lines: one object a line."""

from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from pydantic_core import from_json

from tunesmith.datasets.json_types import is_object, json_type_name
from tunesmith.datasets.read.json_stream import read_json
from tunesmith.datasets.read.log import ReadIssues
from tunesmith.datasets.read.text import TextLines, detect_encoding, open_text, text_problem
from tunesmith.datasets.rows import Row

__all__ = ["read_jsonl"]


def read_jsonl(stream: BufferedReader, log: ReadIssues, encoding: str | None) -> Iterator[Row]:
    """Read one object from each line; empty lines are passed over."""
    if stream.peek(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        yield from read_json(stream, log, encoding)
        return
    for number, line in _lines(stream, log, encoding):
        if not line or line.isspace():
            continue
        try:
            value: Any = from_json(line, allow_inf_nan=False)
        except ValueError as error:
            _broken(log, number, line, str(error))
            continue
        if is_object(value):
            yield Row(number, value)
        else:
            log.broken_line(
                number,
                f"This line is {json_type_name(value)}, not an object.",
                excerpt=line.decode(),
                remedy='Each line is to be an object: {"prompt": …, "completion": …}.',
            )


def _broken(log: ReadIssues, number: int, line: bytes, error: str) -> None:
    text = line.decode(errors="surrogateescape")
    place = error.replace(" at line 1 column", ", at column")
    place = place.replace(" at line 2 column 0", ", at its end")  # its line break was read, too
    message, remedy = text_problem(text, "utf-8-sig") or (f"This line is not JSON: {place}.", "")
    excerpt = line.decode(errors="replace").rstrip("\r\n")
    log.broken_line(number, message, excerpt=excerpt, remedy=remedy)


def _lines(
    stream: BufferedReader, log: ReadIssues, encoding: str | None
) -> Iterator[tuple[int, bytes]]:
    if detect_encoding(stream, encoding, log.file) != "utf-8-sig":
        with open_text(stream, log, encoding) as text:
            lines = TextLines(text, log)
            for line in lines:
                yield lines.line, line.encode(errors="surrogateescape")
        return
    limit = log.max_line_bytes
    number = 0
    while raw := stream.readline(limit):
        number += 1
        if len(raw) == limit and not raw.endswith(b"\n"):
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(limit)
            log.too_long(number)
            continue
        yield number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
