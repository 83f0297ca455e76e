"""`tunesmith migrate`: rewrite code from the official SDK."""

import re
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith._atomic import write_atomic
from tunesmith._extras import import_extra
from tunesmith.cli.command import CommandError
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import click_errors
from tunesmith.cli.output import Output, echo

if TYPE_CHECKING:
    from tunesmith.codemod.migration import Migration

__all__ = ["command"]

_USES_SDK = re.compile(rb"^\s*(?:from|import)\s.*\bopenai\b|[\"']openai\.", re.MULTILINE)
"""Imports of the official SDK, and texts such as those that `mock.patch` takes."""

_OTHERS = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
"""Folders with code of others."""


@click.command("migrate")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--write", is_flag=True, help="Change the files, instead of printing a diff.")
@click.pass_obj
@click.pass_context
def command(
    context: click.Context, connection: ServiceOptions, paths: Sequence[Path], write: bool
) -> None:
    """Rewrite Python code from the official SDK to tunesmith.

    PATH is a file or a folder. The diff goes to standard output. Places that could not be
    translated are listed with file, line and what to write; the exit code is 1 if there are any.
    """
    with click_errors():
        import_extra("libcst", "cli", "Migrations")
    output = Output(connection, as_json=False)
    changed = left = 0
    for path in _python_files(paths):
        migration = _migrate(path)
        if migration is None:
            left += 1
            continue
        if migration.new != migration.old:
            changed += 1
            _write(path, migration) if write else _print_diff(path, migration)
        for finding in migration.findings:
            echo(f"{path}:{finding.line}: {finding.code}: {finding.hint}", err=True)
        left += len(migration.findings)
    output.info(_summarize(changed, left, is_written=write))
    if changed and not write:
        output.suggest_command("migrate", "--write", *map(str, paths))
    context.exit(1 if left else 0)


def _python_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that use the official SDK."""
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            folders = file.relative_to(path).parts[:-1]
            if any(name in _OTHERS or name.startswith(".") for name in folders):
                continue
            try:
                if _USES_SDK.search(file.read_bytes()):
                    yield file
            except OSError as error:
                raise CommandError(f"{file}: {error.strerror}") from error


def _migrate(path: Path) -> "Migration | None":
    """Migrate a file; None if it is not valid Python."""
    from libcst import ParserSyntaxError

    from tunesmith.codemod.migration import migrate_source

    try:
        return migrate_source(path.read_bytes())
    except ParserSyntaxError as error:
        echo(f"{path}:{error.raw_line}: {error.message}", err=True)
    except (UnicodeDecodeError, SyntaxError) as error:  # of the encoding
        echo(f"{path}:1: {error}", err=True)
    return None


def _write(path: Path, migration: "Migration") -> None:
    try:
        mode = path.stat().st_mode
        write_atomic(path, migration.new.encode(migration.encoding))
        path.chmod(mode)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def _print_diff(path: Path, migration: "Migration") -> None:
    old, new = (text.splitlines(keepends=True) for text in (migration.old, migration.new))
    for line in unified_diff(old, new, f"{path}", f"{path}"):
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[0])
        echo(line.rstrip("\r\n"), fg=colour)


def _summarize(changed: int, left: int, *, is_written: bool) -> str:
    if not changed and not left:
        return "Nothing uses the official SDK."
    files = f"{changed} file{'s' * (changed != 1)} {'changed' if is_written else 'to change'}"
    places = f"{left} place{'s' * (left != 1)} left to translate by hand"
    return f"{files}, {places}."
