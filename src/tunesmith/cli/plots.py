"""`tunesmith fine-tunes plot` and `report`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tunesmith._atomic import atomic_write
from tunesmith.cli.command import client_command
from tunesmith.cli.output import Output

if TYPE_CHECKING:
    from tunesmith import AsyncClient

__all__ = ["plot", "report"]

C = TypeVar("C", bound=Callable[..., Any])


def _output_option(*suffixes: str, help: str) -> Callable[[C], C]:
    def check_suffix(_: click.Context, __: click.Parameter, path: Path) -> Path:
        if path.suffix.lower() not in suffixes:
            raise click.BadParameter(f"{path} must end in {' or '.join(suffixes)}.")
        return path

    path = click.Path(path_type=Path)
    return click.option(
        "-o", "--output", "target", type=path, required=True, callback=check_suffix, help=help
    )


@click.command("plot", short_help="Plot training metrics.")
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@_output_option(".png", ".svg", ".pdf", help="The image to write: .png, .svg or .pdf.")
@client_command
async def plot(
    client: "AsyncClient", output: Output, job_ids: tuple[str, ...], target: Path
) -> None:
    """Plot loss and accuracy by step, several jobs in one figure (extra `plot`)."""
    from anyio import to_thread

    first, *others = [await client.fine_tuning.jobs.results(job_id) for job_id in job_ids]
    figure: Any = first.plot(*others)  # matplotlib types its options only in part
    with atomic_write(target) as part:
        kind = target.suffix[1:].lower()
        await to_thread.run_sync(lambda: figure.savefig(part, format=kind))
    output.saved(target)


@click.command("report", short_help="Write an HTML report.")
@click.argument("job_id")
@_output_option(".html", ".htm", help="The report to write: .html.")
@click.option("--prompt", "prompts", multiple=True, help="Complete it before and after training.")
@click.option(
    "--prices", type=click.Path(path_type=Path), help="JSON file with prices of training."
)
@client_command
async def report(
    client: "AsyncClient",
    output: Output,
    job_id: str,
    target: Path,
    prompts: tuple[str, ...],
    prices: Path | None,
) -> None:
    """Write an HTML report with a job's facts, cost, curves, checkpoints, samples and events."""
    import anyio

    from tunesmith.datasets.cost import Prices
    from tunesmith.reports.fine_tuning_job import job_report

    costs = Prices.read(prices) if prices else None
    page = await job_report(client, job_id, prompts=prompts, prices=costs)
    with atomic_write(target) as part:
        await anyio.Path(part).write_text(page, "utf-8")
    output.saved(target)
