"""The reference page of the command line, as the commands describe themselves.

python tests/docs/command_line_page.py     writes it anew
"""

from pathlib import Path

import click
from click.testing import CliRunner

from tunesmith.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
INTRODUCTION = """\
# Command line

What each command says with `--help`. How-to: [use the command line](../how-to/command-line.md),
with exit codes, environment variables and completion;
[migrate from the old one](../how-to/migrate-command-line.md).
"""


def commands(group=app, path=("tunesmith",)):
    """Every command with the words that call it, a group before its own."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def rendered():
    """The page's text."""
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
