"""`tunesmith batch`: run many completions, and see how far they are."""

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
import click

from tunesmith._atomic import atomic_write
from tunesmith.cli.command import client_command
from tunesmith.cli.messages import click_errors, to_option_names
from tunesmith.errors import TunesmithError

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.batch import BatchJob, BatchReport, Budget
    from tunesmith.cli.connection import ServiceOptions
    from tunesmith.cli.output import Output

__all__ = ["command"]

_UNFINISHED = 3
_SECONDS = click.FloatRange(min=0, min_open=True)


@click.group(
    "batch",
    short_help="Run many completions: none lost, none paid twice.",
    epilog="Exit codes: 0 every row was answered; 1 it could not be done, or rows failed; 2 the "
    "command was given wrongly; 3 it was stopped before the end: go on with --resume.",
)
def command() -> None:
    """Run many completions: none lost, none paid twice."""


def _concurrency(_: click.Context, __: click.Parameter, text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or not int(text):
        raise click.BadParameter("give a number from 1, or auto.")
    return int(text)


def _budget(_: click.Context, __: click.Parameter, text: str | None) -> "Budget | None":
    from tunesmith.batch import Budget

    try:
        return Budget.parse(text) if text else None
    except TunesmithError as error:
        raise click.BadParameter(f"{error}.") from None


def _params(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE, such as max_tokens=50.")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value  # a text without quotes
    return params


def _file(_: click.Context, __: click.Parameter, path: Path) -> Path:
    if str(path) == "-":
        raise click.BadParameter("name a file: a run that is resumed needs it again.")
    return path


@command.command("run")
@click.argument("source", type=click.Path(path_type=Path), callback=_file)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    callback=_file,
    help="The file for answers.",
)
@click.option("-m", "--model", help="The model of rows that name none.")
@click.option("--endpoint", help="Where rows go, if they do not say: /v1/chat/completions, …")
@click.option("--template", help="What is asked, with a row's fields: 'Translate: {text}'.")
@click.option(
    "--param", "params", multiple=True, callback=_params, help="For all rows: max_tokens=50."
)
@click.option(
    "--rpm", type=click.FloatRange(0, min_open=True), help="At most so many requests/min."
)
@click.option("--tpm", type=click.FloatRange(0, min_open=True), help="At most so many tokens/min.")
@click.option(
    "--concurrency",
    default="auto",
    show_default=True,
    callback=_concurrency,
    help="How many requests at once.",
)
@click.option(
    "--mode",
    type=click.Choice(["live", "batch", "auto"]),
    default="live",
    show_default=True,
    help="How rows are sent: one request each, by the Batch API, or as the deadline allows.",
)
@click.option(
    "--budget", callback=_budget, help="At most so much over all runs: 5usd, 90000tokens."
)
@click.option(
    "--prices",
    type=click.Path(path_type=Path),
    help="Your prices: a JSON file with as_of, usd_per_million_input_tokens and …_output_tokens.",
)
@click.option(
    "--max-retries",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="After failures that may pass.",
)
@click.option("--timeout", type=_SECONDS, help="Seconds that one attempt may take.")
@click.option("--deadline", type=_SECONDS, help="Seconds that all of it may take.")
@click.option(
    "--poll-interval",
    type=_SECONDS,
    default=30.0,
    show_default=True,
    help="Seconds between looks at batches.",
)
@click.option("--max-failed", type=click.IntRange(1), help="Stop after so many failed rows.")
@click.option(
    "--order",
    type=click.Choice(["completed", "input"]),
    default="completed",
    show_default=True,
    help="The order of the answers.",
)
@click.option("--resume", is_flag=True, help="Go on with the output that is there.")
@click.option("--retry-failed", is_flag=True, help="Send rows again that failed; implies --resume.")
@click.option("--dry-run", is_flag=True, help="Count and price, and send nothing.")
@click.option(
    "--report",
    "page_file",
    type=click.Path(path_type=Path),
    help="Write a page with throughput and latency over time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report, or the estimate, as JSON.")
@click.pass_obj
def run(
    connection: "ServiceOptions",
    /,
    source: Path,
    output: Path,
    rpm: float | None,
    tpm: float | None,
    prices: Path | None,
    resume: bool,
    dry_run: bool,
    page_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Send the rows of SOURCE, and write the answers as lines that the Batch API would write.

    SOURCE is jsonl (lines of the Batch API, or fields), csv, tsv, parquet, xlsx, json or txt, also
    compressed. Rows that fail are written to OUTPUT's .errors.jsonl, each with its cause.

    Ctrl-C stops sending and lets what is under way finish; a second one leaves at once.
    """
    from tunesmith.batch import BatchJob
    from tunesmith.cli.batch_progress import progress_reporter
    from tunesmith.datasets.cost import Prices
    from tunesmith.reports.batch import ProgressHistory, render_html

    report: BatchReport | None = None
    with click_errors(), progress_reporter() as tell, _warnings_as_messages():
        history = ProgressHistory(tell)
        costs = Prices.read(prices) if prices else None

        async def main() -> "BatchReport | None":
            async with connection.client() as client:
                job = BatchJob(
                    source,
                    output,
                    client=client,
                    requests_per_minute=rpm,
                    tokens_per_minute=tpm,
                    prices=costs,
                    resume=resume or options["retry_failed"],
                    shutdown_timeout=None,
                    on_progress=history,
                    **options,
                )
                if dry_run:
                    found = await job.estimate()
                    click.echo(found.to_json() if as_json else to_option_names(str(found)))
                    return None
                return await _run(job)

        report = anyio.run(main)
    if report is None:
        return
    if page_file is not None:
        try:
            with atomic_write(page_file) as part:
                part.write_text(render_html(report, history), encoding="utf-8")
        except OSError as error:
            click.echo(f"The page cannot be written: {error}", err=True)
    if as_json:
        click.echo(report.to_json())
    else:
        # How to go on when it was stopped has been told as a warning.
        told = replace(report, resume_hint="") if report.stopped else report
        click.echo(to_option_names(str(told)))
    if report.stopped is not None:
        raise SystemExit(_UNFINISHED)
    if report.failed:
        raise SystemExit(1)


@contextmanager
def _warnings_as_messages() -> Generator[None]:
    """Show what a job warns of, with options instead of arguments of Python."""
    log = logging.getLogger("tunesmith.batch")
    handler, propagates = _Messages(logging.WARNING), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagates


class _Messages(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(to_option_names(record.getMessage()), err=True)


async def _run(job: "BatchJob") -> "BatchReport":
    try:
        async with job:
            await job.run()
    except (KeyboardInterrupt, SystemExit):
        pass  # the report tells it
    return job.report


@command.command("status")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(output: Path, as_json: bool) -> None:
    """Tell how far the job is that writes OUTPUT, be it at work, over or dead."""
    from tunesmith.batch.status import read_status

    with click_errors():
        found = read_status(output)
    click.echo(found.to_json() if as_json else to_option_names(str(found)))


@command.command("cancel")
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@client_command
async def cancel(client: "AsyncClient", output: "Output", target: Path) -> None:
    """Have the service end the batches of the job that writes OUTPUT, be it at work or not.

    What they have done until then is paid: run with --resume, and it is collected.
    """
    from tunesmith.batch import cancel_batches

    ended = [batch.id for batch in await cancel_batches(target, client)]
    if output.as_json:
        output.json(ended)
    elif ended:
        output.text(f"{len(ended)} batches are being cancelled.")
    else:
        output.text("No batch is under way. What ended ones have done is collected by --resume.")
