"""The reference page of the command line, as the commands describe themselves.

python tests/docs/command_line_page.py     writes it
"""

from pathlib import Path

import click
from click.testing import CliRunner

from tunesmith.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
INTRODUCTION = """\
# Command line

Output of `--help` for each command. See also: [use the command line](../how-to/command-line.md)
(exit codes, environment variables, completion) and
[migrate from the old command line](../how-to/migrate-command-line.md).
"""


def commands(group=app, path=("tunesmith",)):
    """Yield the words that call each command, a group before its commands."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def rendered():
    """Return the page's text."""
    parts = [INTRODUCTION]
    for path in commands():
        shown = CliRunner().invoke(
            app, [*path[1:], "--help"], prog_name="tunesmith", terminal_width=90
        )
        level = "#" * min(len(path) + 1, 3)
        parts.append(f"{level} {' '.join(path)}\n\n```text\n{shown.stdout.rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(rendered())
