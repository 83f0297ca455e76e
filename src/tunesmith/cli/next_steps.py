"""Next steps after `prepare`: commands, a program that runs, and hints."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tunesmith.cli.connection import ServiceOptions, redact_url
from tunesmith.cli.messages import describe_shutdown
from tunesmith.datasets import Format, WriteResult
from tunesmith.datasets.checks.model import can_train
from tunesmith.known_models import KNOWN_MODELS

__all__ = ["example_script", "next_steps"]

_MODELS: Mapping[Format, str] = {
    "completions": "babbage-002",
    "chat": "gpt-4.1-mini-2025-04-14",
    "dpo": "gpt-4.1-mini-2025-04-14",
    "reinforcement": "o4-mini-2025-04-16",
}
"""The model to suggest for each format."""

_STATE = Path("tunesmith.state")
"""The service in memory to suggest if OpenAI has shut down the model."""


def next_steps(
    written: WriteResult,
    source: Path,
    format: Format,
    model: str | None,
    connection: ServiceOptions,
    *,
    epochs: int | None = None,
) -> Iterator[str]:
    """Yield the next steps, line by line.

    Args:
        written: The files that were written.
        source: The file that was read; it is ready if nothing was written.
        format: The format of the rows.
        model: The model to train; None for a default.
        connection: The service that trains.
        epochs: The number of epochs; None for the service's choice.
    """
    if written.separator:
        yield f"Prompts to your model must end with {written.separator!r}, as in the data."
    if written.ending:
        ending = written.ending
        yield f"Stop completions there: --stop {_shell_quote(ending)}, stop=[{ending!r}]."
    model = model or _suggest_model(format, connection)
    place = ""
    if connection.is_openai and (problem := describe_shutdown(model, tuning=True)):
        yield f"At OpenAI, {problem}"
        if format == "completions" and not describe_shutdown(_suggest_model("chat", connection)):
            yield f"For a chat model: {connection.command('prepare', str(source), '--to', 'chat')}"
        connection = replace(
            connection, in_memory=True, state=_STATE, explicit_options=("--state", str(_STATE))
        )
        place = ", with a service in memory"
    files = written.files or (source,)
    if format == "reinforcement":
        command = connection.command(
            *("fine-tunes", "create", "-t", str(files[0])),
            *("-m", model, "--method", "reinforcement", "--grader", "GRADER.json"),
            *_epochs_option(epochs),
        )
        yield f"Next{place}, with a grader: {command}"
        return
    create = create_command(files, format, model, epochs)
    yield f"Next{place}: {connection.command(*create)}"
    yield "Or in Python:"
    yield ""
    yield example_script(files, format, model, connection, epochs)


def create_command(
    files: tuple[Path, ...], format: Format, model: str, epochs: int | None = None
) -> list[str]:
    """Return the arguments of the command that creates a job."""
    options = [
        argument
        for option, file in zip(("-t", "-v"), files, strict=False)
        for argument in (option, str(file))
    ]
    method = ["--method", "dpo"] if format == "dpo" else []
    return [
        "fine-tunes",
        "create",
        *options,
        "-m",
        model,
        *method,
        *_epochs_option(epochs),
        "--follow",
    ]


def _epochs_option(epochs: int | None) -> list[str]:
    return ["--n-epochs", str(epochs)] if epochs else []


def example_script(
    files: tuple[Path, ...],
    format: Format,
    model: str,
    connection: ServiceOptions,
    epochs: int | None = None,
) -> str:
    """Return a program that fine-tunes on the files at the same service."""
    names = ["training_file", "validation_file"][: len(files)]
    uploads = [
        line
        for name, file in zip(names, files, strict=True)
        for line in (
            f"        {name} = await client.files.upload(",
            f"            {str(file)!r}, purpose='fine-tune'",
            "        )",
        )
    ]
    parameters = [
        f"model={model!r}",
        *(f"{name}={name}.id" for name in names),
    ]
    if epochs:
        kind = "dpo" if format == "dpo" else "supervised"
        method = {"type": kind, kind: {"hyperparameters": {"n_epochs": epochs}}}
        parameters.append(f"method={method}")
    elif format == "dpo":
        parameters.append("method={'type': 'dpo'}")
    return "\n".join(
        [
            "import anyio",
            "import tunesmith",
            "",
            "async def main():",
            *_open_client(connection),
            *uploads,
            "        job = await client.fine_tuning.jobs.create(",
            *(f"            {parameter}," for parameter in parameters),
            "        )",
            "        job = await client.fine_tuning.jobs.wait(job)",
            "        print(job.fine_tuned_model)",
            "",
            "anyio.run(main)",
        ]
    )


def _open_client(connection: ServiceOptions) -> list[str]:
    if connection.in_memory:
        state = f"state={str(connection.state)!r}" if connection.state else ""
        return [
            f"    backend = tunesmith.MemoryBackend({state})",
            "    async with tunesmith.AsyncClient(backend=backend) as client:",
        ]
    url = f"base_url={redact_url(connection.base_url)!r}" if connection.base_url else ""
    return [f"    async with tunesmith.AsyncClient({url}) as client:"]


def _shell_quote(ending: str) -> str:
    return shlex.quote(ending.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t"))


def _suggest_model(format: Format, connection: ServiceOptions) -> str:
    """Return a model to train; one that OpenAI has not shut down, if it is the service."""
    today = datetime.now(UTC).date()
    suitable = [model for model in KNOWN_MODELS.values() if can_train(model, format)]
    live = [model.name for model in suitable if not model.is_shut_down(today)]
    usual = _MODELS[format]
    return usual if not connection.is_openai or usual in live or not live else live[0]
