"""Comma- and tab-separated tables."""

import csv
import re
from collections.abc import Callable, Iterator
from io import BufferedReader
from itertools import chain, islice, repeat

from tunesmith.datasets.read.log import ReadIssues
from tunesmith.datasets.read.text import TextLines, open_text, text_problem
from tunesmith.datasets.rows import CHUNK_ROWS, Row
from tunesmith.errors import DatasetError

__all__ = ["read_csv", "read_tsv"]


def read_tsv(stream: BufferedReader, log: ReadIssues, encoding: str | None) -> Iterator[Row]:
    """Read a tab-separated table whose first line names the columns."""
    return read_csv(stream, log, encoding, delimiter="\t")


def read_csv(
    stream: BufferedReader, log: ReadIssues, encoding: str | None, delimiter: str = ","
) -> Iterator[Row]:
    """Read a table whose first line names the columns; all values are text."""
    # The limit is the whole process's; raising it harms nobody, as files had none before csv.
    csv.field_size_limit(max(csv.field_size_limit(), log.max_line_bytes))
    with open_text(stream, log, encoding) as text:
        yield from _rows(TextLines(text, log), log, text.encoding, delimiter)


def _rows(lines: TextLines, log: ReadIssues, encoding: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter)
    header = _header(
        next((names for names in reader if names), list[str]()), lines.line, log, encoding
    )
    if len(header) == 1 and (other := re.search("[;,\t]", header[0])):
        # So do spreadsheet programs write where the comma is in numbers, or under the wrong name.
        header = _header(header[0].split(other[0]), lines.line, log, encoding)
        reader = csv.reader(lines, delimiter=other[0])
    end = lines.line
    while True:
        records: list[list[str]] = []
        starts: list[int] = []
        problem = None
        try:
            for record in islice(reader, CHUNK_ROWS):
                if lines.ended:
                    # The record was finished by the end of the file: in quotes, line breaks are
                    # text, so that it has swallowed all rows after it.
                    problem = "A quote is opened here and never closed."
                    break
                records.append(record)
                # Not max(): every row comes through here.
                starts.append(end + 1 if end > lines.left_out else lines.left_out + 1)
                end = lines.line
        except csv.Error as error:
            problem = f"This row cannot be read: {error}."
        if problem is None and not records:
            return
        if _is_clean(records, len(header), encoding):
            fields = map(dict, map(zip, repeat(header), records))
            yield from map(_new_row, repeat(Row), zip(starts, fields, strict=True))
        else:
            yield from _clean(records, starts, header, log, encoding)
        if problem:
            log.broken_line(end + 1, problem, remedy="A closing quote may be missing.")
            end = lines.line


_new_row: Callable[[type[Row], tuple[int, dict[str, str]]], Row] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""Makes a row without the function in Python that named tuples have for it."""


def _is_clean(records: list[list[str]], width: int, encoding: str) -> bool:
    """Whether there is nothing to see to, found out for all records at once."""
    if set(map(len, records)) != {width}:
        return False
    return text_problem("".join(chain.from_iterable(records)), encoding) is None


def _clean(
    records: list[list[str]], starts: list[int], header: list[str], log: ReadIssues, encoding: str
) -> Iterator[Row]:
    """The rows among `records`; those that are none are broken lines."""
    for start, record in zip(starts, records, strict=True):
        if not record:
            continue
        joined = "".join(record)
        problem = text_problem(joined, encoding)
        if len(record) > len(header):
            problem = (
                f"This row has {len(record)} fields, and the header {len(header)}.",
                "Put quotes around texts that hold a comma or a quote.",
            )
        if problem:
            log.broken_line(start, problem[0], excerpt=", ".join(record), remedy=problem[1])
        else:
            yield Row(start, dict(zip(header, record, strict=False)))


def _header(names: list[str], line: int, log: ReadIssues, encoding: str) -> list[str]:
    problem = text_problem("".join(names), encoding)
    if problem:
        raise DatasetError(problem[0], file=log.file, line=line, remedy=problem[1])
    names = [name.strip() for name in names]
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise DatasetError(
            f"The column `{twice[0]}` is there more than once.",
            file=log.file,
            line=line,
            field=twice[0],
            remedy="Rename or remove one of them.",
        )
    return names
