"""`tunesmith fine-tunes`: jobs, from their creation to their results."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from tunesmith._atomic import atomic_write
from tunesmith.cli.command import client_command
from tunesmith.cli.output import Output, format_time
from tunesmith.cli.plots import plot, report
from tunesmith.errors import APIStatusError

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.types import FineTuningJob

__all__ = ["command"]

_REPLACEMENT_MODELS = {
    "ada": "babbage-002",
    "babbage": "babbage-002",
    "curie": "davinci-002",
    "davinci": "davinci-002",
}
"""By a base model of old courses: what to tune in its place.

Source: https://developers.openai.com/api/docs/deprecations
"""


@click.group("fine-tunes", short_help="Create, follow and stop fine-tuning jobs.")
def command() -> None:
    """Create fine-tuning jobs, follow them, stop them, and see what they made."""


command.add_command(plot)
command.add_command(report)


def _parse_pairs(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    for pair in given:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE.")
    return dict(pair.split("=", 1) for pair in given)


def _grader(_: click.Context, __: click.Parameter, path: Path | None) -> object:
    try:
        return None if path is None else json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path} holds no JSON: {error}") from None


@command.command("create", short_help="Begin a job.")
@click.option(
    "-t",
    "--training-file",
    required=True,
    type=click.Path(),  # for the shell, which completes names of files
    metavar="FILE_OR_ID_OR_URL",
    help="What to train on: a .jsonl file, the id of an uploaded one, or a URL.",
)
@click.option("-m", "--model", required=True, help="The base model, or a tuned one to go on from.")
@click.option(
    "-v",
    "--validation-file",
    type=click.Path(),  # for the shell, which completes names of files
    metavar="FILE_OR_ID_OR_URL",
    help="What to measure the loss on, which is not trained on.",
)
@click.option("--suffix", help="A part of the new model's name.")
@click.option("--n-epochs", type=click.IntRange(1, 50), help="How often to go through the data.")
@click.option("--batch-size", type=click.IntRange(1, 256), help="Examples a step.")
@click.option(
    "--learning-rate-multiplier",
    type=click.FloatRange(min=0, min_open=True),
    help="Scales what one step changes.",
)
@click.option(
    "--beta",
    type=click.FloatRange(0, 2, min_open=True),
    help="With --method dpo: how near the model stays to what it was.",
)
@click.option(
    "--method",
    type=click.Choice(["supervised", "dpo", "reinforcement"]),
    help="How to train; by default supervised.",
)
@click.option(
    "--grader",
    type=click.Path(path_type=Path),
    callback=_grader,
    help="With --method reinforcement: a JSON file with the grader.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Makes training repeatable.")
@click.option(
    "--metadata",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_parse_pairs,
    help="To keep with the job.",
)
@click.option("--follow", is_flag=True, help="Follow the job to its end.")
@click.option("-y", "--yes", is_flag=True, help="Use identical uploaded files without asking.")
@client_command
async def create(
    client: "AsyncClient",
    output: Output,
    training_file: str,
    model: str,
    validation_file: str | None,
    suffix: str | None,
    method: str | None,
    grader: dict[str, Any] | None,
    seed: int | None,
    metadata: dict[str, str],
    follow: bool,
    yes: bool,
    **hyperparameters: float | None,
) -> None:
    """Begin a job that tunes MODEL on a training file.

    A path is uploaded, unless the service has an identical file, which is offered for reuse; a
    URL is downloaded and uploaded.
    """
    from tunesmith.cli.upload import resolve_file_id

    how = _method(method, grader, hyperparameters)
    training_id = await resolve_file_id(client, output, training_file, ask=not yes)
    validation_id = (
        await resolve_file_id(client, output, validation_file, ask=not yes)
        if validation_file
        else None
    )
    try:
        job = await client.fine_tuning.jobs.create(
            model=model,
            training_file=training_id,
            validation_file=validation_id,
            suffix=suffix,
            method=cast("Any", how),  # the operation checks it
            seed=seed,
            metadata=metadata or None,
        )
    except APIStatusError:
        if model in _REPLACEMENT_MODELS:
            output.info(
                f"{(now := _REPLACEMENT_MODELS[model])} took the place of {model}: -m {now}"
            )
        raise
    if follow:
        from tunesmith.cli.follow import follow_job

        await follow_job(client, output, job.id)
        return
    show_job(output, job)
    output.suggest_command("fine-tunes", "follow", job.id)


@command.command("list", short_help="List the jobs.")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="At most so many.")
@client_command
async def list_jobs(client: "AsyncClient", output: Output, limit: int) -> None:
    """List the jobs, newest first."""
    from tunesmith.cli.listing import take

    jobs = await take(limit, client.fine_tuning.jobs.list(limit=min(limit, 100)))
    output.show_table(
        jobs,
        ("id", "created", "status", "model", "fine-tuned model"),
        (
            (j.id, format_time(j.created_datetime), j.status, j.model, j.fine_tuned_model)
            for j in jobs
        ),
    )


@command.command("get", short_help="Show a job.")
@click.argument("job_id")
@client_command
async def get(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Show how a job is doing."""
    show_job(output, await client.fine_tuning.jobs.retrieve(job_id))


@command.command("follow", short_help="Follow a job to its end.")
@click.argument("job_id")
@client_command
async def follow_one(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Show a job's events and its loss as they come, until it is over.

    Dropped connections do not matter. Ctrl-C ends the following, not the job. With --json there
    is an event a line, and the job at last.
    """
    from tunesmith.cli.follow import follow_job

    await follow_job(client, output, job_id)


@command.command("events", short_help="List a job's events.")
@click.argument("job_id")
@click.option("--limit", type=click.IntRange(min=1), default=1000, help="The last so many.")
@client_command
async def events(client: "AsyncClient", output: Output, job_id: str, limit: int) -> None:
    """List what happened to a job so far, oldest first."""
    from tunesmith.cli.listing import take

    pages = client.fine_tuning.jobs.list_events(job_id, limit=min(limit, 100))
    found = (await take(limit, pages))[::-1]
    output.show_table(
        found,
        ("time", "level", "message"),
        ((format_time(e.created_datetime), e.level, e.message) for e in found),
    )


@command.command("results", short_help="Print what a job measured.")
@click.argument("job_id")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Where to save it.")
@client_command
async def results(client: "AsyncClient", output: Output, job_id: str, target: Path | None) -> None:
    """Print what a job measured at each step, as CSV, or save it."""
    import anyio

    from tunesmith.cli.metrics import results_to_csv

    measured = await client.fine_tuning.jobs.results(job_id)
    if target is not None:
        with atomic_write(target) as part:
            await anyio.Path(part).write_text(results_to_csv(measured), "utf-8")
        output.saved(target)
    elif output.as_json:
        output.json([dict(step.columns) for step in measured])
    else:
        output.text(results_to_csv(measured), newline=False)


@command.command("cancel", short_help="End a job before it is done.")
@click.argument("job_id")
@client_command
async def cancel(client: "AsyncClient", output: Output, job_id: str) -> None:
    """End a job before it is done."""
    show_job(output, await client.fine_tuning.jobs.cancel(job_id))


@command.command("pause", short_help="Let a job wait.")
@click.argument("job_id")
@client_command
async def pause(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Let a job wait until it is resumed."""
    show_job(output, await client.fine_tuning.jobs.pause(job_id))
    output.suggest_command("fine-tunes", "resume", job_id)


@command.command("resume", short_help="Let a paused job go on.")
@click.argument("job_id")
@client_command
async def resume(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Let a paused job go on."""
    show_job(output, await client.fine_tuning.jobs.resume(job_id))
    output.suggest_command("fine-tunes", "follow", job_id)


@command.command("checkpoints", short_help="List a job's checkpoints.")
@click.argument("job_id")
@click.option("--limit", type=click.IntRange(min=1), default=100, help="At most so many.")
@client_command
async def checkpoints(client: "AsyncClient", output: Output, job_id: str, limit: int) -> None:
    """List the models that a job saved on its way, newest first; each can be used."""
    from tunesmith.cli.listing import take
    from tunesmith.types import CheckpointMetrics

    pages = client.fine_tuning.jobs.checkpoints.list(job_id, limit=min(limit, 100))
    found = await take(limit, pages)
    measured = [point.metrics or CheckpointMetrics() for point in found]
    output.show_table(
        found,
        ("step", "model", "training loss", "validation loss"),
        (
            (p.step_number, p.fine_tuned_model_checkpoint, m.train_loss, m.full_valid_loss)
            for p, m in zip(found, measured, strict=True)
        ),
    )


def show_job(output: Output, job: "FineTuningJob") -> None:
    """Print a job."""
    output.show_object(
        job,
        [
            ("id", job.id),
            ("status", job.status),
            ("error", job.error and job.error.message),
            ("model", job.model),
            ("fine-tuned model", job.fine_tuned_model),
            ("training file", job.training_file),
            ("validation file", job.validation_file),
            ("result files", job.result_files),
            ("seed", job.seed),
            ("created", format_time(job.created_datetime)),
            ("to finish", format_time(job.estimated_finish_datetime)),
            ("finished", format_time(job.finished_datetime)),
        ],
    )


def _method(
    kind: str | None, grader: dict[str, Any] | None, hyperparameters: dict[str, float | None]
) -> dict[str, Any] | None:
    given = {name: value for name, value in hyperparameters.items() if value is not None}
    if kind == "reinforcement" and grader is None:
        raise click.UsageError("--method reinforcement needs a --grader FILE.")
    if kind != "reinforcement" and grader is not None:
        raise click.UsageError("--grader belongs to --method reinforcement.")
    if kind != "dpo" and "beta" in given:
        raise click.UsageError("--beta belongs to --method dpo.")
    if kind is None and not given:
        return None
    kind = kind or "supervised"
    part: dict[str, Any] = {"hyperparameters": given} if given else {}
    if grader is not None:
        part["grader"] = grader
    return {"type": kind, kind: part} if part else {"type": kind}
