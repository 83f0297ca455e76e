"""`tunesmith wandb`: jobs in Weights & Biases."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith.cli.command import JobNotSucceededError, client_command
from tunesmith.cli.output import Output
from tunesmith.errors import JobError

if TYPE_CHECKING:
    from tunesmith import AsyncClient

__all__ = ["command"]


@click.group("wandb", short_help="Log jobs to Weights & Biases.")
def command() -> None:
    """Log jobs to Weights & Biases, as the old command `openai wandb` did."""


@command.command("sync", short_help="Log jobs.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("-i", "--id", "named", metavar="JOB", help="The same as JOB.")
@click.option(
    "-n",
    "--n-fine-tunes",
    "count",
    type=click.IntRange(min=1),
    default=100,
    help="Without JOB: the newest so many.",
)
@click.option("--project", default="OpenAI-Fine-Tune", help="The project to log to.")
@click.option("--entity", help="Whose project it is; by default yours.")
@click.option("--force", is_flag=True, help="Log jobs again that were logged already.")
@click.option("--follow", is_flag=True, help="Log jobs that run while they run.")
@click.option("--offline", is_flag=True, help="Write to a folder, for 'wandb sync' to send later.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where wandb keeps its files.",
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
    """Log jobs: their configuration, the metrics of each step, the outcome, the data.

    Without JOB the newest jobs are logged. Each is logged once; jobs that have not succeeded are
    left alone. The training and validation files are sent along.
    """
    from tunesmith.cli.listing import take
    from tunesmith.integrations.tracking import TrackOutcome, track
    from tunesmith.integrations.wandb import WandbTracker

    tracker = WandbTracker(
        project, entity=entity, mode="offline" if offline else None, folder=folder
    )
    wanted = [*jobs, *([named] if named else [])]
    if not wanted:
        pages = client.fine_tuning.jobs.list(limit=min(count, 100))
        wanted = [job.id for job in await take(count, pages)]
    outcomes: dict[str, TrackOutcome] = {}
    over: list[JobError] = []
    for job_id in wanted:
        try:
            outcomes[job_id] = await track(client, job_id, tracker, follow=follow, force=force)
        except JobError as error:  # the other jobs are to be logged all the same
            over.append(error)
            outcomes[job_id] = "not succeeded"
        if not output.as_json:
            output.text(f"{job_id}  {outcomes[job_id]}")
    if output.as_json:
        output.json(outcomes)
    if offline and "logged" in outcomes.values():
        runs = shlex.quote(str(folder / "wandb"))
        output.info(f"To send what is logged: wandb sync {runs}/offline-run-*")
    if not outcomes:
        output.info("There are no jobs.")
    if over:
        raise JobNotSucceededError("; ".join(map(str, over)))
