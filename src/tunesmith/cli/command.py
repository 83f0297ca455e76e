"""Base of all commands that call the service: client, output, errors, exit codes."""

import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import click

from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import describe_shutdown, to_option_names
from tunesmith.cli.output import Output
from tunesmith.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    DeadlineExceededError,
    InvalidRequestError,
    JobError,
    NotFoundError,
    TunesmithError,
)

__all__ = ["CommandError", "client_command"]

EXIT_USAGE = 2
EXIT_JOB_FAILED = 3
EXIT_UNAVAILABLE = 4
EXIT_INTERRUPTED = 130

_UNKNOWN_MODEL = {"model_not_available", "model_not_found"}
_QUOTED = re.compile(r"['\"`]([^'\"`]+)['\"`]")
_LIST_COMMANDS = {"files": "files", "fine_tuning": "fine-tunes", "models": "models"}
"""List commands by the first part of an operation's name."""

_LISTS = {"files.list", "fine_tuning.jobs.list", "models.list"}


class CommandError(click.ClickException):
    """Failure of a command.

    Args:
        message: What is wrong and how to fix it.
        exit_code: The exit code.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


def client_command(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Turn an asynchronous function into a command with a client, an output and `--json`.

    Errors become one line with a hint, and an exit code of those in `tunesmith --help`.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
    @click.pass_obj
    def run(connection: ServiceOptions, /, as_json: bool, **options: Any) -> None:
        import anyio

        output = Output(connection, as_json=as_json)

        async def call() -> None:
            async with connection.client() as client:
                await command(client, output, **options)

        try:
            anyio.run(call)
        except KeyboardInterrupt:
            output.info(*(output.when_interrupted or ("Interrupted.",)))
            raise SystemExit(EXIT_INTERRUPTED) from None
        except TunesmithError as error:
            raise _to_command_error(error, output) from error
        except OSError as error:
            if not error.filename:
                raise  # of the output: see `main`
            raise CommandError(_file_error_message(error)) from error

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _file_error_message(error: OSError) -> str:
    folder = Path(error.filename).parent
    if isinstance(error, FileNotFoundError) and not folder.exists():
        return f"The folder {folder} does not exist. Create it, or choose another path."
    return f"{error.filename}: {error.strerror}"


def _to_command_error(error: TunesmithError, output: Output) -> CommandError:
    message = to_option_names(" ".join(str(error).split()))
    match error:
        case JobError():
            return CommandError(message, EXIT_JOB_FAILED)
        case InvalidRequestError():
            return CommandError(message, EXIT_USAGE)
        case DeadlineExceededError():
            output.info(*output.when_interrupted)
            return CommandError(message, EXIT_UNAVAILABLE)
        case APIConnectionError():
            doctor = output.connection.command("doctor")
            return CommandError(f"{message}. Check the service: {doctor}", EXIT_UNAVAILABLE)
        case APIStatusError():
            hint = next(filter(None, _hints(error, output.connection.command)), "")
            return CommandError(". ".join(filter(None, (message, hint))))
        case _:
            return CommandError(message)


def _hints(error: APIStatusError, command: Callable[..., str]) -> Iterator[str]:
    """Yield what to do next, the most specific hint first."""
    operation = error.operation or ""
    group = operation.partition(".")[0]
    if isinstance(error, AuthenticationError):
        yield "Set OPENAI_API_KEY to a key of this service."
    if error.code == "unknown_url":
        yield f"The base URL may lack its path, such as /v1. Check it: {command('doctor')}"
    if error.code in _UNKNOWN_MODEL:
        name = _QUOTED.search(error.message)
        yield describe_shutdown(name[1], tuning=group == "fine_tuning") or "" if name else ""
        yield f"List the models: {command('models', 'list')}"
    if group == "completions" and "chat model" in error.message:
        yield f"Use {command('chat')}."
    if group == "chat" and "not a chat model" in error.message:
        yield f"Use {command('complete')}."
    if isinstance(error, NotFoundError) and group in _LIST_COMMANDS:
        if operation in _LISTS:
            yield f"The service may lack this endpoint. Check it: {command('doctor')}"
        names = "jobs" if group == "fine_tuning" else group
        yield f"List the {names}: {command(_LIST_COMMANDS[group], 'list')}"
