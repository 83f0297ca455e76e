"""Comma- and tab-separated tables."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from itertools import chain, count, islice, repeat

from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.read.text import TextLines, open_text, text_problem
from tunesmith.datasets.rows import CHUNK_CHARACTERS, CHUNK_ROWS, Row
from tunesmith.errors import DatasetError

__all__ = ["read_csv", "read_tsv"]

_NEEDED = {"prompt", "completion", "messages", "chosen", "rejected"}
"""Columns that must be unique; of other columns, repeated names get a number."""

_SEPARATOR_LINE = re.compile("\ufeff?sep=(.)", re.IGNORECASE)


def read_tsv(stream: BufferedReader, issues: ReadIssues, encoding: str | None) -> Iterator[Row]:
    """Read a tab-separated table whose first line names the columns."""
    return read_csv(stream, issues, encoding, delimiter="\t")


def read_csv(
    stream: BufferedReader, issues: ReadIssues, encoding: str | None, delimiter: str = ","
) -> Iterator[Row]:
    """Read a table whose first line names the columns; all values are text."""
    # The limit is the process's; raising it does no harm.
    csv.field_size_limit(max(csv.field_size_limit(), issues.max_line_bytes))
    with open_text(stream, issues, encoding) as text:
        yield from _rows(TextLines(text, issues), issues, text.encoding, delimiter)


def _rows(lines: TextLines, issues: ReadIssues, encoding: str, delimiter: str) -> Iterator[Row]:
    names, delimiter = _read_names(lines, delimiter)
    header = _header(names, lines.line, issues, encoding)
    reader = csv.reader(lines, delimiter=delimiter)
    end = lines.line
    while True:
        records: list[list[str]] = []
        starts: list[int] = []
        problem = None
        limit = issues.characters + CHUNK_CHARACTERS
        try:
            for record in islice(reader, CHUNK_ROWS):
                if lines.ended:
                    # The record ends with the file: inside quotes, line breaks are text, so that
                    # it contains all rows after it.
                    problem = "A quote is opened here and never closed."
                    break
                records.append(record)
                # Faster than max(), for every row.
                starts.append(end + 1 if end > lines.skipped else lines.skipped + 1)
                end = lines.line
                if issues.characters > limit:
                    break
        except csv.Error as error:
            problem = f"This row cannot be read: {error}."
        if problem is None and not records:
            return
        if _is_clean(records, len(header), encoding):
            fields = map(dict, map(zip, repeat(header), records))
            yield from map(_new_row, repeat(Row), zip(starts, fields, strict=True))
        else:
            yield from _clean(records, starts, header, issues, encoding)
        if problem:
            issues.broken_line(end + 1, problem, hint="A closing quote may be missing.")
            end = lines.line


def _read_names(lines: TextLines, delimiter: str) -> tuple[list[str], str]:
    """Return the names of the columns and the delimiter, which can be other than the usual one."""
    read: list[str] = []
    reader = csv.reader(_record(lines, read), delimiter=delimiter)
    names = next((names for names in reader if names), list[str]())
    if separator := _SEPARATOR_LINE.fullmatch(delimiter.join(names)):
        # Excel writes this line before the header.
        reader = csv.reader(lines, delimiter=separator[1])
        return next((names for names in reader if names), list[str]()), separator[1]
    if len(names) == 1 and (other := re.search("[;,\t|]", names[0])):
        # Spreadsheets write semicolons where numbers have commas, and tabs under any name.
        return next(csv.reader(read[-1:], delimiter=other[0])), other[0]
    return names, delimiter


def _record(lines: Iterable[str], lines_read: list[str]) -> Iterator[str]:
    """Yield lines and append them to a list."""
    for line in lines:
        lines_read.append(line)
        yield line


_new_row: Callable[[type[Row], tuple[int, dict[str, str]]], Row] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""Constructor of rows without the Python function of named tuples."""


def _is_clean(records: list[list[str]], width: int, encoding: str) -> bool:
    """Return whether all records can be used as they are."""
    if set(map(len, records)) != {width}:
        return False
    return text_problem("".join(chain.from_iterable(records)), encoding) is None


def _clean(
    records: list[list[str]],
    starts: list[int],
    header: list[str],
    issues: ReadIssues,
    encoding: str,
) -> Iterator[Row]:
    """Yield the valid rows; the others are broken lines."""
    for start, record in zip(starts, records, strict=True):
        if not record:
            continue
        joined = "".join(record)
        problem = text_problem(joined, encoding)
        if len(record) > len(header):
            problem = (
                f"This row has {len(record)} fields; the header has {len(header)}.",
                "Put quotes around texts that contain a comma or a quote.",
            )
        if problem:
            issues.broken_line(start, problem[0], excerpt=", ".join(record), hint=problem[1])
        else:
            yield Row(start, dict(zip(header, record, strict=False)))


def _header(names: list[str], line: int, issues: ReadIssues, encoding: str) -> list[str]:
    problem = text_problem("".join(names), encoding)
    if problem:
        raise DatasetError(problem[0], file=issues.file, line=line, remedy=problem[1])
    header: list[str] = []
    for original in map(str.strip, names):
        name = original
        if name and name in header:
            if name.lower() in _NEEDED:
                raise DatasetError(
                    f"The column `{name}` occurs more than once.",
                    file=issues.file,
                    line=line,
                    field=name,
                    remedy="Rename or remove one of them.",
                )
            name = next(other for n in count(2) if (other := f"{original} ({n})") not in header)
        header.append(name)
    return header
