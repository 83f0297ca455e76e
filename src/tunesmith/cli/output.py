"""Standard output and standard error: the one place where commands write.

Text of services, files and models passes `echo`, which removes control characters.
"""

import json
import os
import re
import sys
from collections.abc import AsyncIterable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING, TextIO, TypeVar, cast

import click

from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import clean

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "SERVICE_ENDS",
    "Output",
    "echo",
    "format_time",
    "is_colourless",
    "prepare_stream",
    "take",
]

T = TypeVar("T")

SERVICE_ENDS = (
    "The service in memory ends with this command. "
    "To keep files, jobs and models for the next one: tunesmith --state DIR COMMAND."
)

_LOCAL_COMMANDS = {"migrate", "prepare"}
"""Commands that need no service."""

_WIDE = 10_000
"""More columns than any table needs."""

_NOT_IN_JSON = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that JSON text would hold as they are."""

_ASCII = str.maketrans({"→": "->", "✓": "+", "✗": "x", "·": "-", "…": "...", "│": "|", "█": "#"})
"""Signs of our own on streams that are not Unicode."""


def echo(
    text: object = "",
    *,
    err: bool = False,
    nl: bool = True,
    label: str = "",
    fg: str | None = None,
    wrap: bool = False,
    indent: int = 0,
) -> None:
    """Write cleaned text.

    Args:
        text: The text.
        err: Whether to write to standard error.
        nl: Whether to end the line.
        label: Text to begin with, in colour.
        fg: The colour of the label, or of all the text without a label.
        wrap: Whether to break lines between words on a terminal.
        indent: Indentation of the lines after a break.
    """
    stream = sys.stderr if err else sys.stdout
    message = clean(f"{label}{text}")
    if wrap and stream.isatty():
        message = _wrapped(message, indent)
    if not _is_unicode(stream):
        message = message.translate(_ASCII)
    if fg is not None and not is_colourless():
        end = len(label) or len(message)
        message = click.style(message[:end], fg=fg) + message[end:]
    # The stream itself: the one that click finds writes into a live display, not above it.
    click.echo(message, file=stream if err else None, nl=nl)


def _wrapped(text: str, indent: int) -> str:
    import shutil

    wrapper = TextWrapper(
        shutil.get_terminal_size().columns,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join("\n".join(wrapper.wrap(line)) for line in text.split("\n"))


def is_colourless() -> bool:
    """Return whether the environment turns off colours."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def prepare_stream(stream: TextIO) -> None:
    """Escape characters that a stream's encoding lacks, where strict streams raise."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _is_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


class Output:
    """Results on standard output, and notes about them on standard error.

    Args:
        connection: The service's options, for commands that are suggested.
        as_json: Whether results are JSON.
    """

    def __init__(self, connection: ServiceOptions, *, as_json: bool) -> None:
        self.connection = connection
        self.as_json = as_json
        self.when_interrupted: tuple[str, ...] = ()
        """Lines to print when the command is interrupted."""

    @property
    def is_terminal(self) -> bool:
        """Whether standard output is a terminal, and not for scripts."""
        return not self.as_json and sys.stdout.isatty()

    def info(self, *lines: str) -> None:
        """Print notes about the result."""
        for line in lines:
            echo(line, err=True, wrap=True)

    def suggest_command(self, *arguments: str) -> None:
        """Print the next command to run, unless the output is JSON."""
        if self.as_json:
            return
        if self.connection.ends_with_command and arguments[0] not in _LOCAL_COMMANDS:
            self.info(SERVICE_ENDS)  # the next command would not find the objects of this one
        else:
            echo(self.connection.command(*arguments), err=True, label="Next: ", fg="cyan")

    def saved(self, path: Path) -> None:
        """Print which file was written."""
        if self.as_json:
            self.json({"saved": str(path)})
        else:
            self.info(f"Saved: {path}")

    def text(self, text: str, *, newline: bool = True) -> None:
        """Print text; unchanged in a pipe, since it is the data there."""
        if self.is_terminal:
            echo(text, nl=newline)
        else:
            click.echo(text, nl=newline)

    def data(self, chunk: bytes) -> None:
        """Print a part of a file; unchanged in a pipe."""
        if self.is_terminal:
            echo(chunk.decode(errors="replace"), nl=False)
        else:
            click.echo(chunk, nl=False)

    def json(self, value: object) -> None:
        """Print JSON on one line."""
        text = json.dumps(_to_jsonable(value), ensure_ascii=False)
        click.echo(_NOT_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text))

    def show_object(self, value: "BaseModel", fields: Iterable[tuple[str, object]]) -> None:
        """Print an object: all of it as JSON, or some of its fields.

        Args:
            value: The object.
            fields: Names and values; those without a value are left out.
        """
        if self.as_json:
            self.json(value)
        else:
            _block([(name, field) for name, field in fields if field not in (None, "", [])])

    def show_table(
        self,
        values: "Sequence[BaseModel]",
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
    ) -> None:
        """Print a list: a JSON array, tab-separated lines in a pipe, or a table on a terminal.

        Where a table would cut words such as ids, each object is a block of lines instead.

        Args:
            values: The objects, for JSON.
            columns: The table's column names.
            rows: The table's rows.
        """
        if self.as_json:
            self.json(list(values))
        elif not self.is_terminal:
            for row in rows:
                echo("\t".join(map(_cell, row)))
        else:
            _table_or_blocks(columns, list(rows))


async def take(limit: int, items: AsyncIterable[T]) -> list[T]:
    """Return the first items of a list, without fetching pages after them."""
    taken: list[T] = []
    async for item in items:
        taken.append(item)
        if len(taken) == limit:
            break
    return taken


def _table_or_blocks(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.measure import Measurement
    from rich.table import Table

    from tunesmith.cli.console import CleanConsole

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(_cell, row))
    console = CleanConsole()
    whole_words = Measurement.get(console, console.options.update_width(_WIDE), table).minimum
    if whole_words <= console.width:
        console.print(table)
        return
    for number, row in enumerate(rows):
        if number:
            echo()
        _block(list(zip(columns, row, strict=True)))


def _block(pairs: Sequence[tuple[str, object]]) -> None:
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        echo(f"{name:{width}}  {_cell(value)}")


def format_time(time: datetime | None) -> str | None:
    """Write a time in UTC, sortable as text."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        value = ", ".join(map(str, cast("list[object]", value)))
    return clean(re.sub(r"[\t\r\n]+", " ", str(value)))


def _to_jsonable(value: object) -> object:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, by_alias=True)
    if isinstance(value, list):
        return [_to_jsonable(item) for item in cast("list[object]", value)]
    return value
