"""What all commands that call the service share: a client, the output, errors and exit codes."""

import errno
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.error_hints import error_hint
from tunesmith.cli.messages import to_option_names
from tunesmith.cli.output import Output
from tunesmith.errors import (
    APIConnectionError,
    APIStatusError,
    DeadlineExceededError,
    InvalidRequestError,
    JobError,
    TunesmithError,
)

__all__ = ["InvalidUsageError", "JobNotSucceededError", "ServiceUnavailableError", "client_command"]

_INTERRUPTED = 130


class InvalidUsageError(click.ClickException):
    """What the command asks for cannot be asked."""

    exit_code = 2


class JobNotSucceededError(click.ClickException):
    """The job that was followed is over without a model."""

    exit_code = 3


class ServiceUnavailableError(click.ClickException):
    """The service was out of reach, or took too long."""

    exit_code = 4


def client_command(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make an asynchronous function a command: it gets a client, the output, and `--json`.

    Errors become one line with the way out, and the exit code that `tunesmith --help` tells.
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
            raise SystemExit(_INTERRUPTED) from None
        except TunesmithError as error:
            raise _to_click_error(error, output) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever reads the output has had enough
            raise click.ClickException(_file_error_message(error)) from error

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _file_error_message(error: OSError) -> str:
    if not error.filename:
        return str(error)
    folder = Path(error.filename).parent
    if isinstance(error, FileNotFoundError) and not folder.exists():
        return f"There is no folder {folder}: name another place, or make it."
    return f"{error.filename}: {error.strerror}"


def _to_click_error(error: TunesmithError, output: Output) -> click.ClickException:
    """Say what went wrong and what to do, and choose the exit code."""
    message = to_option_names(" ".join(str(error).split()))
    match error:
        case JobError():
            return JobNotSucceededError(message)
        case InvalidRequestError():
            return InvalidUsageError(message)
        case DeadlineExceededError():
            output.info(*output.when_interrupted)
            return ServiceUnavailableError(message)
        case APIConnectionError():
            doctor = output.connection.command("doctor")
            return ServiceUnavailableError(f"{message}. See whether the service is there: {doctor}")
        case APIStatusError():
            way = error_hint(error, output.connection.command)
            return click.ClickException(". ".join(filter(None, (message, way))))
        case _:
            return click.ClickException(message)
