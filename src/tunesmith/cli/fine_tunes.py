"""`tunesmith fine-tunes`: fine-tuning jobs."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from tunesmith._atomic import atomic_write
from tunesmith.cli.command import CommandError, client_command
from tunesmith.cli.legacy_commands import LegacyCommand
from tunesmith.cli.messages import describe_shutdown
from tunesmith.cli.output import Output, format_time, take
from tunesmith.cli.plots import plot, report
from tunesmith.known_models import find_model

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.types import FineTuningJob, JobResults

__all__ = ["command"]

_ID = {"-i": "", "--id": ""}
_CREATE = {"--no-follow": None, "--no-check-if-files-exist": "--yes"}


@click.group("fine-tunes")
def command() -> None:
    """Create, follow and cancel fine-tuning jobs."""


command.add_command(plot)
command.add_command(report)


def _parse_pairs(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} must be KEY=VALUE.")
    return dict(pair.split("=", 1) for pair in pairs)


def _grader(_: click.Context, __: click.Parameter, path: Path | None) -> object:
    try:
        return None if path is None else json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path} is not valid JSON: {error}") from None


@command.command("create", cls=LegacyCommand, legacy=_CREATE, short_help="Create a job.")
@click.option(
    "-t",
    "--training-file",
    required=True,
    type=click.Path(),  # for the shell, which completes names of files
    metavar="FILE_OR_ID_OR_URL",
    help="Training data: a .jsonl file, the id of an uploaded one, or a URL.",
)
@click.option(
    "-m", "--model", required=True, help="Base model, or a fine-tuned one to continue from."
)
@click.option(
    "-v",
    "--validation-file",
    type=click.Path(),  # for the shell, which completes names of files
    metavar="FILE_OR_ID_OR_URL",
    help="Validation data: measured, not trained on.",
)
@click.option("--suffix", help="Part of the fine-tuned model's name.")
@click.option("--n-epochs", type=click.IntRange(1, 50), help="Number of passes over the data.")
@click.option("--batch-size", type=click.IntRange(1, 256), help="Examples per step.")
@click.option(
    "--learning-rate-multiplier",
    type=click.FloatRange(min=0, min_open=True),
    help="Scales the learning rate.",
)
@click.option(
    "--beta",
    type=click.FloatRange(0, 2, min_open=True),
    help="With --method dpo: higher values stay closer to the base model.",
)
@click.option(
    "--method",
    type=click.Choice(["supervised", "dpo", "reinforcement"]),
    help="Training method; default: supervised.",
)
@click.option(
    "--grader",
    type=click.Path(path_type=Path),
    callback=_grader,
    help="With --method reinforcement: JSON file with the grader.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed for reproducible training.")
@click.option(
    "--metadata",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_parse_pairs,
    help="Metadata of the job.",
)
@click.option("--follow", is_flag=True, help="Follow the job until it ends.")
@click.option("-y", "--yes", is_flag=True, help="Reuse identical files without asking.")
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
    """Create a job that fine-tunes MODEL.

    Files are uploaded; an identical file at the service is reused. URLs are downloaded first.
    """
    from tunesmith.cli.upload import resolve_file_id

    known = find_model(model)
    if known and known.can("legacy"):  # this API never tuned them
        raise CommandError(describe_shutdown(model) or f"{model!r} cannot be fine-tuned.")
    parameters = _method(method, grader, hyperparameters)
    training_id = await resolve_file_id(client, output, training_file, ask=not yes)
    validation_id = (
        await resolve_file_id(client, output, validation_file, ask=not yes)
        if validation_file
        else None
    )
    job = await client.fine_tuning.jobs.create(
        model=model,
        training_file=training_id,
        validation_file=validation_id,
        suffix=suffix,
        method=cast("Any", parameters),  # the operation checks it
        seed=seed,
        metadata=metadata or None,
    )
    if follow:
        from tunesmith.cli.follow import follow_job

        await follow_job(client, output, job.id)
        return
    show_job(output, job)
    output.suggest_command("fine-tunes", "follow", job.id)


@command.command("list", short_help="List the jobs.")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="Maximum number of entries.")
@client_command
async def list_jobs(client: "AsyncClient", output: Output, limit: int) -> None:
    """List the jobs, newest first."""
    jobs = await take(limit, client.fine_tuning.jobs.list(limit=min(limit, 100)))
    output.show_table(
        jobs,
        ("id", "created", "status", "model", "fine-tuned model"),
        (
            (j.id, format_time(j.created_datetime), j.status, j.model, j.fine_tuned_model)
            for j in jobs
        ),
    )


@command.command("get", cls=LegacyCommand, legacy=_ID, short_help="Show a job.")
@click.argument("job_id")
@client_command
async def get(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Show a job."""
    show_job(output, await client.fine_tuning.jobs.retrieve(job_id))


@command.command("follow", cls=LegacyCommand, legacy=_ID, short_help="Follow a job until it ends.")
@click.argument("job_id")
@client_command
async def follow_one(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Show a job's events and loss until it ends.

    Dropped connections are retried. Ctrl-C stops following, not the job. With --json each line is
    an event; the last one is the job.
    """
    from tunesmith.cli.follow import follow_job

    await follow_job(client, output, job_id)


@command.command("events", cls=LegacyCommand, legacy=_ID, short_help="List a job's events.")
@click.argument("job_id")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1000,
    help="Maximum number of events, the latest ones.",
)
@client_command
async def events(client: "AsyncClient", output: Output, job_id: str, limit: int) -> None:
    """List a job's events, oldest first."""
    pages = client.fine_tuning.jobs.list_events(job_id, limit=min(limit, 100))
    latest = (await take(limit, pages))[::-1]
    output.show_table(
        latest,
        ("time", "level", "message"),
        ((format_time(e.created_datetime), e.level, e.message) for e in latest),
    )


@command.command("results", cls=LegacyCommand, legacy=_ID, short_help="Print a job's metrics.")
@click.argument("job_id")
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), help="Path to save them to."
)
@client_command
async def results(client: "AsyncClient", output: Output, job_id: str, target: Path | None) -> None:
    """Print a job's metrics at each step as CSV, or save them."""
    import anyio

    metrics = await client.fine_tuning.jobs.results(job_id)
    if target is not None:
        with atomic_write(target) as part:
            await anyio.Path(part).write_text(_to_csv(metrics), "utf-8")
        output.saved(target)
    elif output.as_json:
        output.json([dict(step.columns) for step in metrics])
    else:
        output.text(_to_csv(metrics), newline=False)


@command.command("cancel", cls=LegacyCommand, legacy=_ID, short_help="Cancel a job.")
@click.argument("job_id")
@client_command
async def cancel(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Cancel a job."""
    show_job(output, await client.fine_tuning.jobs.cancel(job_id))


@command.command("pause", cls=LegacyCommand, legacy=_ID, short_help="Pause a job.")
@click.argument("job_id")
@client_command
async def pause(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Pause a job until it is resumed."""
    show_job(output, await client.fine_tuning.jobs.pause(job_id))
    output.suggest_command("fine-tunes", "resume", job_id)


@command.command("resume", cls=LegacyCommand, legacy=_ID, short_help="Resume a paused job.")
@click.argument("job_id")
@client_command
async def resume(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Resume a paused job."""
    show_job(output, await client.fine_tuning.jobs.resume(job_id))
    output.suggest_command("fine-tunes", "follow", job_id)


@command.command(
    "checkpoints", cls=LegacyCommand, legacy=_ID, short_help="List a job's checkpoints."
)
@click.argument("job_id")
@click.option("--limit", type=click.IntRange(min=1), default=100, help="Maximum number of entries.")
@client_command
async def checkpoints(client: "AsyncClient", output: Output, job_id: str, limit: int) -> None:
    """List the models that a job saved while training, newest first."""
    from tunesmith.types import CheckpointMetrics

    pages = client.fine_tuning.jobs.checkpoints.list(job_id, limit=min(limit, 100))
    models = await take(limit, pages)
    output.show_table(
        models,
        ("step", "model", "training loss", "validation loss"),
        (
            (
                model.step_number,
                model.fine_tuned_model_checkpoint,
                (metrics := model.metrics or CheckpointMetrics()).train_loss,
                metrics.full_valid_loss,
            )
            for model in models
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
            ("estimated finish", format_time(job.estimated_finish_datetime)),
            ("finished", format_time(job.finished_datetime)),
        ],
    )


def _method(
    kind: str | None, grader: dict[str, Any] | None, hyperparameters: dict[str, float | None]
) -> dict[str, Any] | None:
    explicit = {name: value for name, value in hyperparameters.items() if value is not None}
    if kind == "reinforcement" and grader is None:
        raise click.UsageError("--method reinforcement needs --grader FILE.")
    if kind != "reinforcement" and grader is not None:
        raise click.UsageError("--grader needs --method reinforcement.")
    if kind != "dpo" and "beta" in explicit:
        raise click.UsageError("--beta needs --method dpo.")
    if kind is None and not explicit:
        return None
    kind = kind or "supervised"
    part: dict[str, Any] = {"hyperparameters": explicit} if explicit else {}
    if grader is not None:
        part["grader"] = grader
    return {"type": kind, kind: part} if part else {"type": kind}


def _to_csv(results: "JobResults") -> str:
    columns = list(dict.fromkeys(name for step in results for name in step.columns))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(step.columns for step in results)
    return text.getvalue()
