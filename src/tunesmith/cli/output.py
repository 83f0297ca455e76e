"""What commands print: for people, for pipes, or as JSON."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

import click
from pydantic import BaseModel

from tunesmith.cli.connection import ServiceOptions

__all__ = ["Output", "format_time"]

_WIDE = 10_000
"""More columns than any table needs."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
"""What would break a line, its tabs, or a terminal, if a name holds it."""


_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal takes for a command; not tabs and the ends of lines, which texts have."""


class Output:
    """Prints results to standard output, and notes about them to standard error.

    Args:
        connection: Where the service is: the next command shall go there, too.
        as_json: Whether results are JSON.
    """

    def __init__(self, connection: ServiceOptions, *, as_json: bool) -> None:
        self.connection = connection
        self.as_json = as_json
        self.when_interrupted: tuple[str, ...] = ()
        """What to say when the command is interrupted, a line each."""

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at what is printed."""
        return not self.as_json and sys.stdout.isatty()

    def info(self, *lines: str) -> None:
        """Say something about the result, which is not part of it."""
        for line in lines:
            click.echo(line, err=True)

    def suggest_command(self, *arguments: str) -> None:
        """Tell the command to run next, unless a script reads the output."""
        if not self.as_json:
            self.info(f"Next: {self.connection.command(*arguments)}")

    def saved(self, path: Path) -> None:
        """Tell which file was written."""
        if self.as_json:
            self.json({"saved": str(path)})
        else:
            self.info(f"Saved: {path}")

    def text(self, text: str, *, newline: bool = True) -> None:
        """Print a text; to a terminal without what would steer it, whatever a model wrote."""
        if self.is_terminal:
            text = _COMMANDS.sub("", click.unstyle(text))
        click.echo(text, nl=newline)

    def json(self, value: object) -> None:
        """Print JSON on one line."""
        click.echo(json.dumps(_to_jsonable(value), ensure_ascii=False))

    def show_object(self, answer: BaseModel, shown: Iterable[tuple[str, object]]) -> None:
        """Print one object: all of it as JSON, or what is worth showing.

        Args:
            answer: The object.
            shown: Names and values; those without a value are left out.
        """
        if self.as_json:
            self.json(answer)
            return
        _block([(name, value) for name, value in shown if value not in (None, "", [])])

    def show_table(
        self, answers: Sequence[BaseModel], columns: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        """Print a list: a JSON array, lines with tabs in a pipe, or a table on a terminal.

        Where a table would cut words, such as ids, each object is a block of lines instead.

        Args:
            answers: The objects.
            columns: The table's heads.
            rows: The table's rows.
        """
        if self.as_json:
            self.json(list(answers))
        elif not self.is_terminal:
            for row in rows:
                click.echo("\t".join(map(_cell, row)))
        else:
            _table_or_blocks(columns, list(rows))


def _table_or_blocks(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(_cell, row))
    # Names are no markup: `[…]` would be a style, and `:dog:` in a model's name a picture of one.
    console = Console(highlight=False, markup=False, emoji=False)
    whole_words = Measurement.get(console, console.options.update_width(_WIDE), table).minimum
    if whole_words <= console.width:
        console.print(table)
        return
    for number, row in enumerate(rows):
        if number:
            click.echo()
        _block(list(zip(columns, row, strict=True)))


def _block(pairs: Sequence[tuple[str, object]]) -> None:
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name:{width}}  {_cell(value)}")


def format_time(time: datetime | None) -> str | None:
    """Write a time in UTC as people and sorting programs read it."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value)))
    return _CONTROL.sub(" ", str(value))


def _to_jsonable(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, by_alias=True)
    if isinstance(value, list):
        return [_to_jsonable(item) for item in cast("list[object]", value)]
    return value
