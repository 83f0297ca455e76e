"""`tunesmith serve`: the service in memory behind a socket, for any client in any language."""

import time
from importlib import import_module
from pathlib import Path

import anyio
import click

from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import click_errors
from tunesmith.clock import VirtualClock
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.rate_limits import ServiceLimits
from tunesmith.service.engines.base import Engine
from tunesmith.service.memory_backend import MemoryBackend

__all__ = ["command"]

_DEFAULT_SPEED = 60.0


def _engine(_: click.Context, __: click.Parameter, name: str) -> Engine | None:
    if name == "ngram":
        return None  # the service's own
    module, colon, attribute = name.partition(":")
    if not colon:
        raise click.BadParameter(f"{name!r} is neither 'ngram' nor package.module:Class.")
    try:
        engine: object = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise click.BadParameter(str(error)) from error
    if not isinstance(engine, Engine):
        raise click.BadParameter(
            f"{name} makes no engine: tunesmith.service.engines.base.Engine says what one can do."
        )
    return engine


def _key(_: click.Context, __: click.Parameter, key: str | None) -> str | None:
    if key is not None and not key.strip():
        raise click.BadParameter("It is empty, so nobody could have it: leave it out for any key.")
    return key


@click.command("serve", short_help="Serve the API from memory, for any client in any language.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; the default is reached from this machine only.",
)
@click.option(
    "--api-key",
    envvar="TUNESMITH_SERVE_API_KEY",
    show_envvar=True,
    callback=_key,
    help="The key to ask for. Without it any key will do, but one must be there.",
)
@click.option(
    "--engine",
    default="ngram",
    show_default=True,
    callback=_engine,
    help="What trains and generates: ngram, or package.module:Class of your own.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same answers.")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that keeps the service between two runs, made if there is none; it may stand "
    "before the command as well.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=_DEFAULT_SPEED,
    show_default=True,
    help="Seconds that pass for jobs in each second: 60 is an hour a minute.",
)
@click.option("--realtime", is_flag=True, help="The same as --speed 1.")
@click.option(
    "--no-base64-results",
    is_flag=True,
    help="Send the result files of jobs as CSV, as in 2023, not as base64: for clients of then.",
)
@click.option(
    "--requests-per-minute", type=click.IntRange(1), help="Refuse more, for each model, with 429."
)
@click.option(
    "--tokens-per-minute", type=click.IntRange(1), help="Refuse more, for each model, with 429."
)
@click.option(
    "--quota-tokens",
    type=click.IntRange(0),
    help="After so many tokens, refuse all with insufficient_quota.",
)
@click.pass_obj
def command(
    connection: ServiceOptions,
    *,
    port: int,
    host: str,
    api_key: str | None,
    engine: Engine | None,
    seed: int,
    state: Path | None,
    speed: float,
    realtime: bool,
    no_base64_results: bool,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    quota_tokens: int | None,
) -> None:
    """Serve the API from memory, for any client in any language, until Ctrl-C.

    Nothing is kept after the end but in a --state file, and nothing leaves the machine. Needs the
    extra `server`.
    """
    with click_errors():
        from tunesmith.service.http.asgi import ASGIApp
        from tunesmith.service.http.uvicorn_server import base_url_of, bind_socket, create_server
    try:
        listener = bind_socket(host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another --port or --host"
        ) from error
    with listener:
        with click_errors():
            file = state or connection.state
            backend = MemoryBackend(
                engine=engine,
                clock=None if file else VirtualClock(time.time()),  # a file begins with today too
                seed=seed,
                limits=ServiceLimits(requests_per_minute, tokens_per_minute, quota_tokens),
                behavior=ServiceBehavior(results_base64=not no_base64_results),
                state=file,
            )
        # Its clients sleep elsewhere, so time cannot jump when they do.
        backend.clock.autojump, backend.clock.rate = False, 1.0 if realtime else speed
        click.echo(f"The API is at {base_url_of(listener)} until Ctrl-C. Point a client at it:\n")
        key = "any" if api_key is None else "the-key-of-this-server"
        click.echo(f"  export OPENAI_BASE_URL={base_url_of(listener)} OPENAI_API_KEY={key}\n")
        try:
            create_server(ASGIApp(backend, api_key=api_key)).run(sockets=[listener])
        except KeyboardInterrupt:
            click.echo("Served.")
        finally:
            anyio.run(backend.aclose)
