"""`tunesmith wandb`: log jobs to Weights & Biases."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith.cli.command import EXIT_JOB_FAILED, CommandError, client_command
from tunesmith.cli.output import Output, take
from tunesmith.errors import JobError

if TYPE_CHECKING:
    from tunesmith import AsyncClient

__all__ = ["command"]


@click.group("wandb")
def command() -> None:
    """Log jobs to Weights & Biases, like the old command `openai wandb`."""


@command.command("sync", short_help="Log jobs.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("-i", "--id", "named", metavar="JOB", help="Same as JOB.")
@click.option(
    "-n",
    "--n-fine-tunes",
    "count",
    type=click.IntRange(min=1),
    default=100,
    help="Without JOB: number of latest jobs to log.",
)
@click.option("--project", default="OpenAI-Fine-Tune", help="Project to log to.")
@click.option("--entity", help="Owner of the project; default: you.")
@click.option("--force", is_flag=True, help="Log jobs again that are logged already.")
@click.option("--follow", is_flag=True, help="Follow running jobs and log them.")
@click.option(
    "--offline", is_flag=True, help="Write to a folder, to be sent later with 'wandb sync'."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder for wandb's files.",
)
@client_command
async def sync(
    client: "AsyncClient",
    output: Output,
    jobs: tuple[str, ...],
    named: str | None,
    count: int,
    project: str,
    entity: str | None,
    force: bool,
    follow: bool,
    offline: bool,
    folder: Path,
) -> None:
    """Log jobs: configuration, metrics of each step, outcome, training and validation files.

    Without JOB the latest jobs are logged. Each is logged once; jobs that have not succeeded are
    skipped.
    """
    from tunesmith.integrations.tracking import TrackOutcome, track
    from tunesmith.integrations.wandb import WandbTracker

    tracker = WandbTracker(
        project, entity=entity, mode="offline" if offline else None, folder=folder
    )
    job_ids = [*jobs, *([named] if named else [])]
    if not job_ids:
        pages = client.fine_tuning.jobs.list(limit=min(count, 100))
        job_ids = [job.id for job in await take(count, pages)]
    outcomes: dict[str, TrackOutcome] = {}
    failures: list[JobError] = []
    for job_id in job_ids:
        try:
            outcomes[job_id] = await track(client, job_id, tracker, follow=follow, force=force)
        except JobError as error:  # log the other jobs all the same
            failures.append(error)
            outcomes[job_id] = "not succeeded"
        if not output.as_json:
            output.text(f"{job_id}  {outcomes[job_id]}")
    if output.as_json:
        output.json(outcomes)
    if offline and "logged" in outcomes.values():
        runs = shlex.quote(str(folder / "wandb"))
        output.info(f"To send the logs: wandb sync {runs}/offline-run-*")
    if not outcomes:
        output.info("No jobs to log.")
    if failures:
        raise CommandError("; ".join(map(str, failures)), EXIT_JOB_FAILED)
