"""What all commands that call the service share: a client, the output, errors and exit codes."""

import errno
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from tunesmith.cli.connection import Connection
from tunesmith.cli.error_hints import way_on
from tunesmith.cli.messages import as_options
from tunesmith.cli.output import Output
from tunesmith.errors import (
    APIConnectionError,
    APIStatusError,
    DeadlineExceeded,
    JobError,
    RequestInvalid,
    TunesmithError,
)

__all__ = ["GivenWrongly", "JobOver", "NoAnswer", "calls_the_service"]

_INTERRUPTED = 130


class GivenWrongly(click.ClickException):
    """What the command asks for cannot be asked."""

    exit_code = 2


class JobOver(click.ClickException):
    """The job that was followed is over without a model."""

    exit_code = 3


class NoAnswer(click.ClickException):
    """The service was out of reach, or took too long."""

    exit_code = 4


def calls_the_service(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make an asynchronous function a command: it gets a client, the output, and `--json`.

    Errors become one line with the way out, and the exit code that `tunesmith --help` tells.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
    @click.pass_obj
    def run(connection: Connection, /, as_json: bool, **options: Any) -> None:
        import anyio

        output = Output(connection, as_json=as_json)

        async def call() -> None:
            async with connection.client() as client:
                await command(client, output, **options)

        try:
            anyio.run(call)
        except KeyboardInterrupt:
            output.note(*(output.when_interrupted or ("Interrupted.",)))
            raise SystemExit(_INTERRUPTED) from None
        except TunesmithError as error:
            raise _in_one_line(error, output) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever reads the output has had enough
            raise click.ClickException(_about_a_file(error)) from error

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _about_a_file(error: OSError) -> str:
    if not error.filename:
        return str(error)
    folder = Path(error.filename).parent
    if isinstance(error, FileNotFoundError) and not folder.exists():
        return f"There is no folder {folder}: name another place, or make it."
    return f"{error.filename}: {error.strerror}"


def _in_one_line(error: TunesmithError, output: Output) -> click.ClickException:
    """Say what went wrong and what to do, and choose the exit code."""
    message = as_options(" ".join(str(error).split()))
    match error:
        case JobError():
            return JobOver(message)
        case RequestInvalid():
            return GivenWrongly(message)
        case DeadlineExceeded():
            output.note(*output.when_interrupted)
            return NoAnswer(message)
        case APIConnectionError():
            doctor = output.connection.command("doctor")
            return NoAnswer(f"{message}. See whether the service is there: {doctor}")
        case APIStatusError():
            way = way_on(error, output.connection.command)
            return click.ClickException(". ".join(filter(None, (message, way))))
        case _:
            return click.ClickException(message)
