"""Plain text: one completion a line."""

from collections.abc import Iterator
from io import BufferedReader

from tunesmith.datasets.read.log import ReadIssues
from tunesmith.datasets.read.text import TextLines, open_text, text_problem
from tunesmith.datasets.rows import Row

__all__ = ["read_txt"]


def read_txt(stream: BufferedReader, log: ReadIssues, encoding: str | None) -> Iterator[Row]:
    """Read each line as a completion with an empty prompt."""
    with open_text(stream, log, encoding) as text:
        lines = TextLines(text, log)
        for line in lines:
            if problem := text_problem(line, text.encoding):
                log.broken_line(lines.line, problem[0], excerpt=line, remedy=problem[1])
            else:
                yield Row(lines.line, {"prompt": "", "completion": line.rstrip("\r\n")})
