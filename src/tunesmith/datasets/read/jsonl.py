"""JSON lines: one object a line."""

from collections.abc import Iterator
from io import BufferedReader
from json import JSONDecodeError, JSONDecoder
from typing import Any

from pydantic_core import from_json

from tunesmith._json_types import json_type_name
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.read.json_stream import MESSAGE_LIST, read_json, to_row
from tunesmith.datasets.read.text import (
    TextLines,
    detect_encoding,
    open_text,
    peek_text,
    text_problem,
)
from tunesmith.datasets.rows import Row

__all__ = ["read_jsonl"]


def read_jsonl(stream: BufferedReader, issues: ReadIssues, encoding: str | None) -> Iterator[Row]:
    """Read one object from each line; empty lines are skipped.

    A JSON array, and objects that are not on a line each, are read too, and noted as a conversion.
    """
    if layout := _other_layout(peek_text(stream, detect_encoding(stream, encoding, issues))):
        issues.conversions.append(f"{layout} to JSON lines")
        yield from read_json(stream, issues, encoding)
        return
    for number, line in _lines(stream, issues, encoding):
        if not line or line.isspace():
            continue
        try:
            value: Any = from_json(line, allow_inf_nan=False)
        except ValueError as error:
            _report_broken(issues, number, line, str(error))
            continue
        if row := to_row(number, value, issues):
            yield row
        else:
            issues.broken_line(
                number,
                f"This line is {json_type_name(value)}, not an object.",
                excerpt=line.decode(),
                hint='Each line must be an object: {"prompt": …, "completion": …}.',
            )


def _other_layout(head: str) -> str:
    """Return the layout of a file that does not have one value a line; empty for JSON lines."""
    if head.startswith("[") and not MESSAGE_LIST.match(head):
        return "a JSON array"
    line, _, rest = head.partition("\n")
    if not head.startswith(("{", "[")) or _is_json(line):
        return ""
    if line.rstrip().endswith(",") and _is_json(line.rstrip()[:-1]):
        return "objects separated by commas"
    try:
        _, end = JSONDecoder().raw_decode(head)
    except JSONDecodeError as error:
        # The beginning may be too short to hold a whole value; then the next line shows it.
        is_incomplete = error.pos >= len(head) - 1 or error.msg.startswith("Unterminated")
        end = len(head) if is_incomplete and rest.startswith(("  ", "\t")) else 0
    except (RecursionError, ValueError):
        return ""
    if end > len(line):
        return "objects on several lines"
    is_joined = end > 0 and line[end:].lstrip(", \t\r").startswith("{")
    return "objects joined on a line" if is_joined else ""


def _is_json(line: str) -> bool:
    try:
        from_json(line)
    except ValueError:
        return False
    return True


def _report_broken(issues: ReadIssues, number: int, line: bytes, error: str) -> None:
    text = line.decode(errors="surrogateescape")
    place = error.replace(" at line 1 column", ", at column")
    place = place.replace(" at line 2 column 0", ", at its end")  # its line break was read, too
    hint = "Python's quotes are not JSON's: write rows with json.dumps." if "{'" in text[:2] else ""
    message, hint = text_problem(text, "utf-8-sig") or (f"This line is not JSON: {place}.", hint)
    excerpt = line.decode(errors="replace").rstrip("\r\n")
    issues.broken_line(number, message, excerpt=excerpt, hint=hint)


def _lines(
    stream: BufferedReader, issues: ReadIssues, encoding: str | None
) -> Iterator[tuple[int, bytes]]:
    if detect_encoding(stream, encoding, issues) != "utf-8-sig":
        with open_text(stream, issues, encoding) as text:
            lines = TextLines(text, issues)
            for line in lines:
                yield lines.line, line.encode(errors="surrogateescape")
        return
    limit = issues.max_line_bytes
    number = 0
    while raw := stream.readline(limit):
        number += 1
        issues.characters += len(raw)
        if len(raw) == limit and not raw.endswith(b"\n"):
            issues.too_long(number)  # before its rest is read, which can be endless
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(limit)
            continue
        yield number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
