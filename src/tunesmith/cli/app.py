"""Table of commands; each one's module is loaded when it is called, so that `--help` is quick."""

import io
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

import click

from tunesmith.cli.connection import ServiceOptions, redact_url
from tunesmith.cli.output import echo, is_colourless, prepare_stream

__all__ = ["app"]

COMMANDS = {
    "attention": ("tunesmith.cli.attention", "Show what each token of a prompt attends to."),
    "batch": ("tunesmith.cli.batch", "Run completions by the million; resume after any failure."),
    "chat": ("tunesmith.cli.chat", "Chat with a model."),
    "complete": ("tunesmith.cli.complete", "Complete a prompt."),
    "doctor": ("tunesmith.cli.doctor", "Check the key, the service and the installation."),
    "example": ("tunesmith.cli.example", "Write an example dataset."),
    "files": ("tunesmith.cli.files", "Upload, list, show and delete files."),
    "fine-tunes": ("tunesmith.cli.fine_tunes", "Create, follow and cancel fine-tuning jobs."),
    "migrate": ("tunesmith.cli.migrate", "Rewrite code from the official SDK."),
    "models": ("tunesmith.cli.models", "List, show, download and delete models."),
    "playground": (
        "tunesmith.cli.playground",
        "Open a page to try and fine-tune models of a server.",
    ),
    "prepare": ("tunesmith.cli.prepare", "Check training data and fix it."),
    "serve": ("tunesmith.cli.serve", "Serve the API on this machine, for any client."),
    "wandb": ("tunesmith.cli.wandb", "Log jobs to Weights & Biases."),
}
"""By name: the module with the command as `command`, and its short help."""

_INTERRUPTED = 130


class StyledFormatter(click.HelpFormatter):
    """Help with coloured headings and options."""

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        super().write_heading(click.style(heading, bold=True))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write a list of names and texts."""
        styled = [(click.style(name, fg="cyan"), text) for name, text in rows]
        super().write_dl(styled, col_max, col_spacing)


class StyledContext(click.Context):
    """Context with coloured help, unless `NO_COLOR` is set."""

    formatter_class = StyledFormatter

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if is_colourless():
            self.color = False


class LazyGroup(click.Group):
    """Group of the commands in `COMMANDS`."""

    context_class = StyledContext

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's signature
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 — click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        command = cast("click.Command", import_module(COMMANDS[cmd_name][0]).command)
        for styled in (command, *getattr(command, "commands", {}).values()):
            styled.context_class = StyledContext
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or suggest one with a similar name."""
        if args[0] not in COMMANDS:
            from difflib import get_close_matches

            from tunesmith.cli.legacy_commands import translate_legacy_command

            if translation := translate_legacy_command(args):
                legacy, current = translation
                ctx.fail(f"No such command {args[0]!r}. {legacy!r} is now {current!r}.")
            for match in get_close_matches(args[0], COMMANDS, n=1):
                ctx.fail(f"No such command {args[0]!r}. Did you mean {match!r}?")
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line; show errors through `echo`.

        Raises:
            SystemExit: Always.
        """
        from tunesmith.cli.legacy_commands import OptionNormalizer

        prepare_stream(sys.stdout)
        prepare_stream(sys.stderr)
        try:
            code = super().main(
                args,
                prog_name,
                **extra,
                standalone_mode=False,
                token_normalize_func=OptionNormalizer(),
            )
        except click.ClickException as error:
            shown = io.StringIO()
            error.show(shown)
            before, label, after = shown.getvalue().rpartition("Error: ")
            echo(before, err=True, nl=False)
            echo(after.rstrip("\n"), err=True, label=label, fg="red" if label else None, wrap=True)
            raise SystemExit(error.exit_code) from None
        except click.Abort:
            echo("Interrupted.", err=True)
            raise SystemExit(_INTERRUPTED) from None
        raise SystemExit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; explain where options of the group belong."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if any(error.option_name in option.opts for option in self.params):
                raise click.UsageError(
                    f"{error.option_name!r} must precede the command: "
                    f"tunesmith {error.option_name} … {ctx.invoked_subcommand} …",
                    error.ctx,
                ) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _print_version(ctx: click.Context, _: click.Parameter, is_set: bool) -> None:
    if is_set and not ctx.resilient_parsing:
        from importlib.metadata import version

        echo(f"tunesmith {version('tunesmith')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="Exit codes: 0 done, or nothing to do; 1 failed, or declined; 2 wrong usage; 3 the job "
    "failed or was cancelled; 4 the service is unavailable or too slow; 130 interrupted.",
)
@click.option(
    "--base-url",
    metavar="URL",
    help="Base URL of the API; default: $OPENAI_BASE_URL, else OpenAI.",
)
@click.option("--api-key", metavar="KEY", help="API key; prefer $OPENAI_API_KEY.")
@click.option(
    "--backend",
    type=click.Choice(["http", "memory"]),
    envvar="TUNESMITH_BACKEND",
    show_envvar=True,
    help="Send requests over HTTP, or to a service in memory, which needs no key.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    envvar="TUNESMITH_STATE",
    show_envvar=True,
    help="Folder that stores the service between commands; implies --backend memory.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    envvar="TUNESMITH_TIMEOUT",
    show_envvar=True,
    metavar="SECONDS",
    help="Maximum duration of one attempt of a call.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    envvar="TUNESMITH_DEADLINE",
    show_envvar=True,
    metavar="SECONDS",
    help="Maximum duration of a call, retries included.",
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

    The options here choose the service; they precede the command.
    """
    typed = {
        name
        for name in ("base_url", "api_key", "backend", "state")
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    if typed & {"base_url", "api_key"} or (backend == "http" and "backend" in typed):
        # Typed options override the environment.
        state = state if "state" in typed else None
        backend = backend if "backend" in typed else None
    from_environment = state is not None and "state" not in typed
    if from_environment and os.environ.get("OPENAI_BASE_URL"):
        echo("TUNESMITH_STATE is set, so OPENAI_BASE_URL is not used.", err=True)
    if state is not None and backend == "http":
        raise click.UsageError("--state needs a service in memory. Remove --backend http.")
    in_memory = backend == "memory" or state is not None
    if in_memory and (base_url or api_key):
        raise click.UsageError("A service in memory takes neither --base-url nor --api-key.")
    explicit_options = [
        argument
        for name, option, value in (
            ("base_url", "--base-url", base_url and redact_url(base_url)),
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
        explicit_options=tuple(explicit_options),
    )
