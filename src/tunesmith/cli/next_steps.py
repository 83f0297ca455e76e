"""Next steps after `prepare`: commands, a program that runs, and hints."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from tunesmith.cli.connection import ServiceOptions, redact_url
from tunesmith.datasets import Format, WriteResult

__all__ = ["example_script", "next_steps"]

_COMPLETION_MODEL = "babbage-002"
_CHAT_MODEL = "gpt-4.1-mini-2025-04-14"


def next_steps(
    written: WriteResult,
    source: Path,
    format: Format,
    model: str | None,
    connection: ServiceOptions,
) -> Iterator[str]:
    """Yield the next steps, line by line.

    Args:
        written: The files that were written.
        source: The file that was read; it is ready if nothing was written.
        format: The format of the rows.
        model: The model to train; None for a default.
        connection: The service that trains.
    """
    if written.separator:
        yield f"Prompts to your model must end with {written.separator!r}, as in the data."
    if written.ending:
        ending = written.ending
        yield f"Stop completions there: --stop {_shell_quote(ending)}, stop=[{ending!r}]."
    if format == "reinforcement":
        command = connection.command(
            *("fine-tunes", "create", "-t", str((written.files or (source,))[0])),
            *("-m", model or "MODEL", "--method", "reinforcement", "--grader", "GRADER.json"),
        )
        yield f"Next, with a grader: {command}"
        return
    files = written.files or (source,)
    yield f"Next: {connection.command(*create_command(files, format, model))}"
    yield "Or in Python:"
    yield ""
    yield example_script(files, format, model, connection)


def create_command(files: tuple[Path, ...], format: Format, model: str | None) -> list[str]:
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
        model or _default_model(format),
        *method,
        "--follow",
    ]


def example_script(
    files: tuple[Path, ...], format: Format, model: str | None, connection: ServiceOptions
) -> str:
    """Return a program that fine-tunes on the files at the same service."""
    names = ["training_file", "validation_file"][: len(files)]
    uploads = [
        f"        {name} = await client.files.upload({str(file)!r}, purpose='fine-tune')"
        for name, file in zip(names, files, strict=True)
    ]
    parameters = [
        f"model={model or _default_model(format)!r}",
        *(f"{name}={name}.id" for name in names),
    ]
    if format == "dpo":
        parameters.append("method={'type': 'dpo'}")
    return "\n".join(
        [
            "import anyio",
            "import tunesmith",
            "",
            "async def main():",
            f"    async with tunesmith.AsyncClient({_client_arguments(connection)}) as client:",
            *uploads,
            "        job = await client.fine_tuning.jobs.create(",
            f"            {', '.join(parameters)}",
            "        )",
            "        job = await client.fine_tuning.jobs.wait(job)",
            "        print(job.fine_tuned_model)",
            "",
            "anyio.run(main)",
        ]
    )


def _client_arguments(connection: ServiceOptions) -> str:
    if connection.in_memory:
        state = f"state={str(connection.state)!r}" if connection.state else ""
        return f"backend=tunesmith.MemoryBackend({state})"
    return f"base_url={redact_url(connection.base_url)!r}" if connection.base_url else ""


def _shell_quote(ending: str) -> str:
    return shlex.quote(ending.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t"))


def _default_model(format: Format) -> str:
    return _COMPLETION_MODEL if format == "completions" else _CHAT_MODEL
