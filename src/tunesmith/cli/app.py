"""The commands; each one's module is loaded when it is called, so that `--help` stays quick."""

from importlib import import_module
from importlib.metadata import version
from typing import cast

import click

__all__ = ["app"]

COMMANDS = {
    "prepare": ("tunesmith.cli.prepare", "Find and mend what is wrong with training data."),
    "serve": ("tunesmith.cli.serve", "Serve the API from memory, for any client in any language."),
}
"""By name: the module that has the command as `command`, and what the command does."""


class LazyGroup(click.Group):
    """A group that knows its commands by `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's signature
        """The names of all commands."""
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 — click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        return cast("click.Command", import_module(COMMANDS[cmd_name][0]).command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"tunesmith {version('tunesmith')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, or nothing to do; 1 the data cannot be used, or you declined; "
    "2 the command was given wrongly. Nothing is written unless the code is 0.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def app() -> None:
    """Prepare training data for fine-tuning GPT models, and serve their API from memory."""
