"""What to do with the prepared files: a program that runs as it stands, and what to mind."""

from collections.abc import Iterator
from pathlib import Path

from tunesmith.datasets import Format, Written

__all__ = ["next_steps", "program"]

_COMPLETION_MODEL = "babbage-002"
_CHAT_MODEL = "gpt-4.1-mini-2025-04-14"


def next_steps(written: Written, source: Path, format: Format, model: str | None) -> Iterator[str]:
    """Say what to do next, a line at a time.

    Args:
        written: What was written.
        source: The file that was read, which is ready if nothing was written.
        format: The rows' format.
        model: The model to be trained; without it, a usual one is put in.
    """
    if written.separator:
        yield f"End prompts to your model with {written.separator!r}, as in the data."
    if written.ending:
        yield f"Let it stop there: stop=[{written.ending!r}]."
    if format == "reinforcement":
        yield "Next, create a job with a grader: client.fine_tuning.jobs.create(…, method=…)."
        return
    yield "Next, run this in Python:"
    yield ""
    yield program(written.files or (source,), format, model)


def program(files: tuple[Path, ...], format: Format, model: str | None) -> str:
    """A program that fine-tunes on the files."""
    names = ["training_file", "validation_file"][: len(files)]
    uploads = [
        f"        {name} = await client.files.upload({str(file)!r}, purpose='fine-tune')"
        for name, file in zip(names, files, strict=True)
    ]
    usual = _COMPLETION_MODEL if format == "completions" else _CHAT_MODEL
    parameters = [f"model={model or usual!r}", *(f"{name}={name}.id" for name in names)]
    if format == "dpo":
        parameters.append("method={'type': 'dpo'}")
    return "\n".join(
        [
            "import anyio",
            "import tunesmith",
            "",
            "async def main():",
            "    async with tunesmith.AsyncClient() as client:",
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
