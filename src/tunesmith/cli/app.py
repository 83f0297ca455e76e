"""The commands; each one's module is loaded when it is called, so that `--help` stays quick."""

import os
from importlib import import_module
from pathlib import Path
from typing import Literal, cast

import click

from tunesmith.cli.connection import ServiceOptions

__all__ = ["app"]

COMMANDS = {
    "batch": ("tunesmith.cli.batch", "Run many completions: none lost, none paid twice."),
    "chat": ("tunesmith.cli.chat", "Talk to a chat model."),
    "complete": ("tunesmith.cli.complete", "Let a model go on from a prompt."),
    "doctor": ("tunesmith.cli.doctor", "See whether everything is in place."),
    "files": ("tunesmith.cli.files", "Upload, list, show and delete files."),
    "fine-tunes": ("tunesmith.cli.fine_tunes", "Create, follow and stop fine-tuning jobs."),
    "models": ("tunesmith.cli.models", "List, show and delete models."),
    "prepare": ("tunesmith.cli.prepare", "Find and mend what is wrong with training data."),
    "serve": ("tunesmith.cli.serve", "Serve the API on this machine, for any client."),
    "wandb": ("tunesmith.cli.wandb", "Log jobs to Weights & Biases."),
}
"""By name: the module that has the command as `command`, and what the command does."""

_INTERRUPTED = 130


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or offer one of nearly this name."""
        if args[0] not in COMMANDS:
            from difflib import get_close_matches

            from tunesmith.cli.legacy_commands import translate_legacy_command

            if old := translate_legacy_command(args):
                then, now = old
                ctx.fail(f"No such command {args[0]!r}. What was '{then}' is now '{now}'.")
            for near in get_close_matches(args[0], COMMANDS, n=1):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {near!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command.

        Options of the group that stand behind it are sent to their place. Ctrl-C has the exit code
        that the group's help tells.
        """
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if any(error.option_name in option.opts for option in self.params):
                raise click.UsageError(
                    f"{error.option_name!r} stands before the command: "
                    f"tunesmith {error.option_name} … {ctx.invoked_subcommand} …",
                    error.ctx,
                ) from None
            raise
        except (KeyboardInterrupt, click.Abort):  # at a question, or in what needs no service
            click.echo("Interrupted.", err=True)
            raise SystemExit(_INTERRUPTED) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"tunesmith {version('tunesmith')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="Exit codes: 0 done, or nothing to do; 1 it cannot be done, or you declined; 2 the "
    "command was given wrongly; 3 the job failed or was cancelled; 4 no answer in time; "
    "130 interrupted.",
)
@click.option(
    "--base-url",
    metavar="URL",
    help="Where the API is; by default $OPENAI_BASE_URL, else OpenAI.",
)
@click.option("--api-key", metavar="KEY", help="The key; better set $OPENAI_API_KEY.")
@click.option(
    "--backend",
    type=click.Choice(["http", "memory"]),
    envvar="TUNESMITH_BACKEND",
    show_envvar=True,
    help="Where requests go: over HTTP, or to a service in memory, which needs no key.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TUNESMITH_STATE",
    show_envvar=True,
    help="A file that keeps the service in memory between commands; implies --backend memory.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    envvar="TUNESMITH_TIMEOUT",
    show_envvar=True,
    metavar="SECONDS",
    help="How long one attempt of a call may take.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    envvar="TUNESMITH_DEADLINE",
    show_envvar=True,
    metavar="SECONDS",
    help="How long a whole call may take, with all attempts and pauses.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def app(
    ctx: click.Context,
    base_url: str | None,
    api_key: str | None,
    backend: Literal["http", "memory"] | None,
    state: Path | None,
    timeout: float | None,
    deadline: float | None,
) -> None:
    """Fine-tune GPT models: prepare data, upload it, train, follow, complete.

    Options that stand here, before the command, tell where the service is.
    """
    typed = {
        name
        for name in ("base_url", "api_key", "backend", "state")
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    if typed & {"base_url", "api_key"} or (backend == "http" and "backend" in typed):
        # What is typed comes before the environment.
        state = state if "state" in typed else None
        backend = backend if "backend" in typed else None
    by_environment = state is not None and "state" not in typed
    if by_environment and os.environ.get("OPENAI_BASE_URL"):
        click.echo("TUNESMITH_STATE is set, so OPENAI_BASE_URL is not used.", err=True)
    if state is not None and backend == "http":
        raise click.UsageError("--state is for a service in memory: leave --backend http out.")
    in_memory = backend == "memory" or state is not None
    if in_memory and (base_url or api_key):
        raise click.UsageError("A service in memory has no address and no key: leave them out.")
    given = [
        argument
        for name, option, value in (
            ("base_url", "--base-url", base_url),
            ("backend", "--backend", backend),
            ("state", "--state", state),
        )
        if value is not None and name in typed
        for argument in (option, str(value))
    ]
    ctx.obj = ServiceOptions(
        base_url=base_url,
        api_key=api_key,
        in_memory=in_memory,
        state=state,
        timeout_s=timeout,
        deadline_s=deadline,
        explicit_options=tuple(given),
    )
