"""`tunesmith migrate`: rewrite code from the official SDK."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith._atomic import write_atomic
from tunesmith._extras import import_extra
from tunesmith.cli.command import CommandError
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import click_errors
from tunesmith.cli.output import Output, echo

if TYPE_CHECKING:
    from tunesmith.codemod.edits import Finding
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_obj
@click.pass_context
def command(
    context: click.Context,
    connection: ServiceOptions,
    paths: Sequence[Path],
    write: bool,
    as_json: bool,
) -> None:
    """Rewrite Python code from the official SDK to tunesmith.

    PATH is a file or a folder. The diff goes to standard output. Places that could not be
    translated are listed with file, line and what to write; the exit code is 1 if there are any.
    """
    with click_errors():
        import_extra("libcst", "cli", "Migrations")
    output = Output(connection, as_json=as_json)
    results: list[dict[str, Any]] = []
    for path in _python_files(paths):
        migration, findings = _migrate(path)
        diff = [] if migration is None else _diff(path, migration)
        if migration is not None and diff and write:
            _write(path, migration)
        if not as_json:
            _print(path, [] if write else diff, findings)
        fields = [asdict(finding) for finding in findings]
        results.append({"file": str(path), "diff": "".join(diff), "findings": fields})
    changed = sum(bool(result["diff"]) for result in results)
    left = sum(len(result["findings"]) for result in results)
    if as_json:
        output.json(results)
    else:
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


def _migrate(path: Path) -> "tuple[Migration | None, Sequence[Finding]]":
    """Migrate a file; return it, unless it is not valid Python, and what is left."""
    from libcst import ParserSyntaxError

    from tunesmith.codemod.edits import Finding
    from tunesmith.codemod.migration import migrate_source

    try:
        migration = migrate_source(path.read_bytes())
    except ParserSyntaxError as error:
        return None, [Finding(error.raw_line, "invalid syntax", error.message)]
    except (UnicodeDecodeError, SyntaxError) as error:
        return None, [Finding(1, "invalid encoding", str(error))]
    return migration, migration.findings


def _write(path: Path, migration: "Migration") -> None:
    try:
        mode = path.stat().st_mode
        write_atomic(path, migration.new.encode(migration.encoding))
        path.chmod(mode)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def _diff(path: Path, migration: "Migration") -> list[str]:
    old, new = (text.splitlines(keepends=True) for text in (migration.old, migration.new))
    return list(unified_diff(old, new, f"{path}", f"{path}"))


def _print(path: Path, diff: Sequence[str], findings: "Sequence[Finding]") -> None:
    for line in diff:
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[0])
        echo(line.rstrip("\r\n"), fg=colour)
    for finding in findings:
        echo(f"{path}:{finding.line}: {finding.code}: {finding.hint}", err=True)


def _summarize(changed: int, left: int, *, is_written: bool) -> str:
    if not changed and not left:
        return "Nothing uses the official SDK."
    files = f"{changed} file{'s' * (changed != 1)} {'changed' if is_written else 'to change'}"
    places = f"{left} place{'s' * (left != 1)} left to translate by hand"
    return f"{files}, {places}."
