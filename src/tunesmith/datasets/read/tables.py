"""Comma- and tab-separated tables."""

import csv
from collections.abc import Iterator
from io import BufferedReader

from tunesmith.datasets.read.log import ReadLog
from tunesmith.datasets.read.text import TextLines, open_text, text_problem
from tunesmith.datasets.rows import Row
from tunesmith.errors import DatasetError

__all__ = ["read_csv", "read_tsv"]


def read_tsv(stream: BufferedReader, log: ReadLog, encoding: str | None) -> Iterator[Row]:
    """Read a tab-separated table whose first line names the columns."""
    return read_csv(stream, log, encoding, delimiter="\t")


def read_csv(
    stream: BufferedReader, log: ReadLog, encoding: str | None, delimiter: str = ","
) -> Iterator[Row]:
    """Read a table whose first line names the columns; all values are text."""
    # The limit is the whole process's; raising it harms nobody, as files had none before csv.
    csv.field_size_limit(max(csv.field_size_limit(), log.max_line_bytes))
    text = open_text(stream, log, encoding)
    lines = TextLines(text, log)
    reader = csv.reader(lines, delimiter=delimiter)
    header = _header(next(reader, []), log, text.encoding)
    if len(header) == 1 and delimiter == "," and ";" in header[0]:
        # So do spreadsheet programs write where the comma is in numbers.
        header = header[0].split(";")
        reader = csv.reader(lines, delimiter=";")
    width = len(header)
    end = lines.line
    while True:
        try:
            for record in reader:
                start, end = end + 1, lines.line
                if not record:
                    continue
                joined = "".join(record)
                problem = None
                if len(record) > width:
                    problem = (
                        f"This row has {len(record)} fields, and the header {width}.",
                        "Put quotes around texts that hold a comma or a quote.",
                    )
                elif "\0" in joined or not joined.isascii():
                    problem = text_problem(joined, text.encoding)
                if problem:
                    log.broken_line(start, problem[0], excerpt=joined, remedy=problem[1])
                    continue
                yield Row(start, dict(zip(header, record, strict=False)))
        except csv.Error as error:
            log.broken_line(
                end + 1,
                f"This row cannot be read: {error}.",
                remedy="A closing quote may be missing.",
            )
            end = lines.line
        else:
            return


def _header(names: list[str], log: ReadLog, encoding: str) -> list[str]:
    problem = text_problem("".join(names), encoding)
    if problem:
        raise DatasetError(problem[0], file=log.file, line=1, remedy=problem[1])
    names = [name.strip() for name in names]
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise DatasetError(
            f"The column `{twice[0]}` is there more than once.",
            file=log.file,
            line=1,
            field=twice[0],
            remedy="Rename or remove one of them.",
        )
    return names
