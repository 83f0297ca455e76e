"""`tunesmith serve`: the service in memory behind a socket."""

import shlex
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import anyio
import click

from tunesmith._extras import import_extra
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import click_errors
from tunesmith.clock import VirtualClock
from tunesmith.errors import ConfigurationError
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.rate_limits import ServiceLimits
from tunesmith.service.engines.base import Engine
from tunesmith.service.memory_backend import MemoryBackend
from tunesmith.testing.faults.file import load_faults

__all__ = ["command"]

_DEFAULT_SPEED = 60.0


def _create_engine(
    name: str,
    models: tuple[str, ...],
    aliases: tuple[str, ...],
    train_command: str | None,
    max_trainings: int,
) -> Engine | None:
    if name == "transformers":
        return _transformers_engine(models, aliases, train_command, max_trainings)
    if train_command or max_trainings > 1:
        raise click.UsageError("--train-command and --jobs need --engine transformers.")
    if aliases or any("=" in model for model in models):
        raise click.UsageError("--as and folders of models need --engine transformers.")
    if name == "ngram":
        return None  # the default of the service
    if models:
        raise click.UsageError(
            f"--model cannot be combined with {name}, which has its own catalogue of models."
        )
    module, colon, attribute = name.partition(":")
    if not colon:
        raise click.UsageError(
            f"--engine {name!r} must be ngram, transformers or package.module:Class."
        )
    try:
        engine: object = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise click.UsageError(f"--engine {name}: {error}") from error
    if not isinstance(engine, Engine):
        raise click.UsageError(
            f"--engine {name} must implement tunesmith.service.engines.base.Engine."
        )
    return engine


def _transformers_engine(
    models: tuple[str, ...],
    aliases: tuple[str, ...],
    train_command: str | None,
    max_trainings: int,
) -> Engine:
    try:
        import_extra("jinja2", "train", "Models with weights")
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    from tunesmith.service.engines.base import EngineError
    from tunesmith.service.engines.transformers.engine import TransformersEngine
    from tunesmith.service.engines.transformers.hub import DownloadError

    sources = dict(_pairs(models, "--model NAME=FOLDER or --model NAME=ORG/MODEL"))
    if not sources:
        raise click.UsageError(
            "transformers needs a model: --model NAME=FOLDER or --model NAME=ORG/MODEL."
        )
    try:
        launcher = shlex.split(train_command) if train_command else [sys.executable]
    except ValueError as error:
        raise click.UsageError(f"--train-command: {error}") from error
    try:
        return TransformersEngine(
            sources,
            aliases=dict(_pairs(aliases, "--as OFFICIAL=NAME")),
            max_trainings=max_trainings,
            train_command=(*launcher, "-m", "tunesmith.train"),
        )
    except (DownloadError, ConfigurationError) as error:
        raise click.ClickException(str(error)) from error
    except EngineError as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt as error:
        raise click.ClickException(
            "stopped; the same command continues a download with the missing files"
        ) from error


def _pairs(values: tuple[str, ...], syntax: str) -> list[tuple[str, str]]:
    pairs = [value.partition("=") for value in values]
    if not all(name and target for name, _, target in pairs):
        raise click.UsageError(f"Write it as {syntax}.")
    return [(name, target) for name, _, target in pairs]


def _key(_: click.Context, __: click.Parameter, key: str | None) -> str | None:
    if key is not None and not key.strip():
        raise click.BadParameter("The key is empty. Leave the option out to accept any key.")
    return key


@contextmanager
def _exit_at_sigterm() -> Generator[None]:
    """Leave by an exception, so that trainings write a checkpoint first; uvicorn sends it again."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@click.command("serve", short_help="Serve the API on this machine, for any client.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; the default is reachable from this machine only.",
)
@click.option(
    "--api-key",
    envvar="TUNESMITH_SERVE_API_KEY",
    show_envvar=True,
    callback=_key,
    help="Required API key. By default any key is accepted, but not its absence.",
)
@click.option(
    "--engine",
    default="ngram",
    show_default=True,
    help="Engine that trains and generates: ngram, a test double; transformers, real weights on "
    "this machine (extra `train`); or your own as package.module:Class.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME[=MODEL]",
    help="Another base model: of your own, or newer than those that are known. The transformers "
    "engine needs its folder in Hugging Face layout, or its id on the Hugging Face hub, ORG/MODEL "
    "or ORG/MODEL@REVISION, to download it. May be repeated.",
)
@click.option(
    "--as",
    "aliases",
    multiple=True,
    metavar="OFFICIAL=NAME",
    help="Further name of a model of the transformers engine, such as gpt-4o-mini=NAME, for code "
    "whose names cannot change. May be repeated.",
)
@click.option(
    "--train-command",
    metavar="COMMAND",
    help="Program that starts the trainers of the transformers engine in place of Python, such as "
    "'torchrun --nproc-per-node 2'.",
)
@click.option(
    "--jobs",
    "max_trainings",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of jobs that the transformers engine trains at a time.",
)
@click.option(
    "--upstream",
    metavar="URL",
    help="Base URL of a server that completes, chats, embeds and responds in place of the engine, "
    "such as http://127.0.0.1:8001/v1 of vLLM. Files, batches and fine-tuning stay here.",
)
@click.option(
    "--upstream-key",
    default="none",
    envvar="TUNESMITH_UPSTREAM_API_KEY",
    show_envvar=True,
    help="API key of that server, or of vLLM.",
)
@click.option(
    "--vllm",
    metavar="URL",
    help="Base URL of a vLLM server that generates with the models of the transformers "
    "engine, such as http://127.0.0.1:8001/v1. It loads tuned models while it runs; training stays "
    "here.",
)
@click.option(
    "--batch-concurrency",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Number of requests of a batch at a time, to that server or to an engine with real "
    "weights.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of ids and generated texts.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder that stores the service between runs; created if it does not exist. It may also "
    "be given before the command.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=_DEFAULT_SPEED,
    show_default=True,
    help="Number by which durations of jobs and batches are divided: 60 is an hour per minute.",
)
@click.option("--realtime", is_flag=True, help="Same as --speed 1.")
@click.option(
    "--no-base64-results",
    is_flag=True,
    help="Send result files of jobs as CSV, as in 2023, instead of base64.",
)
@click.option(
    "--requests-per-minute", type=click.IntRange(1), help="Requests per model before a 429."
)
@click.option("--tokens-per-minute", type=click.IntRange(1), help="Tokens per model before a 429.")
@click.option(
    "--quota-tokens",
    type=click.IntRange(0),
    help="Tokens in all before every request fails with insufficient_quota.",
)
@click.option(
    "--faults",
    "faults_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="JSON file of faults to inject, such as rate limits and broken streams.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    help="Origin whose web pages may use the API, such as https://example.com; * for all. May be "
    "repeated. Pages of this machine (localhost) always may.",
)
@click.option(
    "--playground/--no-playground",
    default=True,
    show_default=True,
    help="Whether to serve the playground, a page to try and fine-tune models, at /.",
)
@click.pass_obj
def command(
    connection: ServiceOptions,
    *,
    port: int,
    host: str,
    api_key: str | None,
    engine: str,
    models: tuple[str, ...],
    aliases: tuple[str, ...],
    train_command: str | None,
    max_trainings: int,
    upstream: str | None,
    upstream_key: str,
    vllm: str | None,
    batch_concurrency: int,
    seed: int,
    state: Path | None,
    speed: float,
    realtime: bool,
    no_base64_results: bool,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    quota_tokens: int | None,
    faults_file: Path | None,
    cors_origins: tuple[str, ...],
    playground: bool,
) -> None:
    """Serve the API on this machine, for any client in any language, until Ctrl-C.

    All data is lost at the end, unless --state is given; nothing leaves the machine. Needs the
    extra `server`.
    """
    with click_errors():
        from tunesmith.backends.httpx import HttpxBackend
        from tunesmith.playground.attention import AttentionProcess
        from tunesmith.playground.pages import Playground
        from tunesmith.service.http.asgi import ASGIApp
        from tunesmith.service.http.cors import LOOPBACK
        from tunesmith.service.http.uvicorn_server import base_url_of, bind_socket, create_server
    try:
        listener = bind_socket(host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another --port or --host"
        ) from error
    with listener:
        chosen = _create_engine(engine, models, aliases, train_command, max_trainings)
        if vllm and (chosen is None or chosen.is_simulated):
            raise click.UsageError("--vllm needs --engine transformers.")
        with click_errors():
            folder = state or connection.state
            backend = MemoryBackend(
                engine=chosen,
                models=models if chosen is None else (),
                upstream=HttpxBackend(upstream, api_key=upstream_key) if upstream else None,
                vllm=HttpxBackend(vllm, api_key=upstream_key) if vllm else None,
                batch_concurrency=batch_concurrency,
                seed=seed,
                speed=1.0 if realtime else speed,
                limits=ServiceLimits(requests_per_minute, tokens_per_minute, quota_tokens),
                behavior=ServiceBehavior(results_base64=not no_base64_results),
                state=folder,
                clock=None if folder else VirtualClock(time.time()),  # a state has its own
            )
            faults = load_faults(faults_file, backend) if faults_file else None
        # Clients sleep in other processes, so the time must be real.
        backend.clock.autojump, backend.clock.rate = False, 1.0
        url = base_url_of(listener)
        click.echo(f"The API is at {url} until Ctrl-C. Point a client at it:\n")
        key = "any" if api_key is None else "the-key-of-this-server"
        click.echo(f"  export OPENAI_BASE_URL={url} OPENAI_API_KEY={key}\n")
        if playground:
            click.echo(f"Try and fine-tune models in a browser: {url.removesuffix('v1')}\n")
        service = backend.service
        find_weights = None if service.engine.is_simulated else service.models.weights_folder
        pages = Playground(
            faults or backend,
            api_key=api_key,
            find_weights=find_weights,
            is_simulated=service.engine.is_simulated,
            open_model=service.models.open,
            compute_attention=AttentionProcess(find_weights) if find_weights else None,
        )
        with _exit_at_sigterm():
            try:
                app = ASGIApp(
                    faults or backend,
                    api_key=api_key,
                    cors_origins=(*cors_origins, LOOPBACK),
                    background=backend.service.run_lifecycles,
                    pages=pages if playground else None,
                )
                create_server(app).run(sockets=[listener])
            except KeyboardInterrupt:
                click.echo("Stopped.")
                for fault in faults.unfired if faults else ():
                    click.echo(f"Fault not injected: {fault}", err=True)
            finally:
                with click_errors():
                    anyio.run(backend.aclose)
