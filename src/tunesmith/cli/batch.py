"""`tunesmith batch`: run completions by the million, and show their progress."""

import json
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
import click

from tunesmith._atomic import write_atomic
from tunesmith.cli.batch_status import list_jobs, status
from tunesmith.cli.command import client_command
from tunesmith.cli.messages import click_errors, to_option_names
from tunesmith.cli.output import echo
from tunesmith.errors import TunesmithError

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.batch import BatchJob, BatchReport, Budget, Progress
    from tunesmith.cli.connection import ServiceOptions
    from tunesmith.cli.output import Output
    from tunesmith.datasets.cost import Prices
    from tunesmith.reports.batch import ProgressHistory

__all__ = ["command"]

_UNFINISHED = 3
_REFRESH_S = 5
_SECONDS = click.FloatRange(min=0, min_open=True)


@click.group(
    "batch",
    epilog="Exit codes: 0 every row was answered; 1 rows failed, or nothing could be sent; 2 wrong "
    "usage; 3 stopped before the end, continue with --resume.",
)
def command() -> None:
    """Run completions by the million; resume after any failure."""


def _concurrency(_: click.Context, __: click.Parameter, text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or not int(text):
        raise click.BadParameter("must be a number from 1, or auto.")
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
            raise click.BadParameter(f"{pair!r} must be NAME=VALUE, such as max_tokens=50.")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value  # text without quotes
    return params


def _file(_: click.Context, __: click.Parameter, path: Path) -> Path:
    if str(path) == "-":
        raise click.BadParameter("must be a file, so that --resume can reread it.")
    return path


@command.command("run")
@click.argument("source", type=click.Path(path_type=Path), callback=_file)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    callback=_file,
    help="Output file.",
)
@click.option("-m", "--model", help="Model of rows without one.")
@click.option("--endpoint", help="Endpoint of rows without one, such as /v1/chat/completions.")
@click.option("--template", help="Prompt with fields of the row: 'Translate: {text}'.")
@click.option(
    "--param",
    "params",
    multiple=True,
    callback=_params,
    help="Parameter of all rows: max_tokens=50.",
)
@click.option("--rpm", type=click.FloatRange(0, min_open=True), help="Maximum requests per minute.")
@click.option("--tpm", type=click.FloatRange(0, min_open=True), help="Maximum tokens per minute.")
@click.option(
    "--concurrency",
    default="auto",
    show_default=True,
    callback=_concurrency,
    help="Maximum requests in flight.",
)
@click.option(
    "--mode",
    type=click.Choice(["live", "batch", "auto"]),
    default="live",
    show_default=True,
    help="One request per row, the Batch API, or either, as the deadline allows.",
)
@click.option("--budget", callback=_budget, help="Maximum over all runs: 5usd, 90000tokens.")
@click.option(
    "--prices",
    type=click.Path(path_type=Path),
    help="JSON file with as_of, usd_per_million_input_tokens and …_output_tokens.",
)
@click.option(
    "--max-retries",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Maximum retries after transient failures.",
)
@click.option("--timeout", type=_SECONDS, help="Maximum seconds of one attempt.")
@click.option("--deadline", type=_SECONDS, help="Maximum seconds of the whole run.")
@click.option(
    "--poll-interval",
    type=_SECONDS,
    default=30.0,
    show_default=True,
    help="Seconds between polls of batches.",
)
@click.option("--max-failed", type=click.IntRange(1), help="Stop after this number of failed rows.")
@click.option(
    "--order",
    type=click.Choice(["completed", "input"]),
    default="completed",
    show_default=True,
    help="Order of the output.",
)
@click.option("--keep-files", is_flag=True, help="Keep files of batches at the service.")
@click.option("--resume", is_flag=True, help="Continue an existing output.")
@click.option("--retry-failed", is_flag=True, help="Send failed rows again; implies --resume.")
@click.option("--dry-run", is_flag=True, help="Count tokens and cost; send nothing.")
@click.option(
    "--report",
    "page_file",
    type=click.Path(path_type=Path),
    help="Write an HTML report with throughput and latency over time.",
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
    """Send the rows of SOURCE; write the responses in the format of the Batch API.

    SOURCE is jsonl (lines of the Batch API, or fields), csv, tsv, parquet, xlsx, json or txt, also
    compressed. Failed rows are written to OUTPUT's .errors.jsonl, each with its cause.

    Ctrl-C stops sending and waits for requests in flight; a second one exits at once.
    """
    from tunesmith.batch import BatchJob
    from tunesmith.cli.batch_progress import progress_reporter
    from tunesmith.datasets.cost import Prices
    from tunesmith.reports.batch import ProgressHistory

    ended: tuple[BatchReport, Exception | None] | None = None
    with click_errors(), progress_reporter() as show_progress, _log_warnings():
        history = ProgressHistory(show_progress)
        page = HTMLReport(page_file, output, history)
        costs = Prices.read(prices) if prices else None
        _warn_of_missing_price(costs, options["model"])

        async def main() -> "tuple[BatchReport, Exception | None] | None":
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
                    on_progress=page,
                    **options,
                )
                page.options = job.options.to_dict()
                if dry_run:
                    estimate = await job.estimate()
                    echo(estimate.to_json() if as_json else to_option_names(str(estimate)))
                    return None
                return await _run(job)

        ended = anyio.run(main)
    if ended is None:
        return
    report, error = ended
    try:
        page.write(with_option_names(report))
    except OSError as problem:
        echo(f"Cannot write the report: {problem}", err=True)
    if as_json:
        echo(report.to_json())
    elif report.requests or error is None:
        # The hint of a stopped job was logged as a warning.
        shown = replace(report, resume_hint="") if report.stopped else report
        echo(str(with_option_names(shown)), wrap=True)
    if error is not None:
        with click_errors():
            raise error
    if report.stopped is not None:
        raise SystemExit(_UNFINISHED)
    if report.failed:
        raise SystemExit(1)


def _warn_of_missing_price(prices: "Prices | None", model: str | None) -> None:
    if prices and model and prices.completion_prices(model) is None:
        echo(f"Your prices do not list {model} under usd_per_million_input_tokens.", err=True)


class HTMLReport:
    """HTML report of a job, written again every few seconds while it runs.

    Args:
        path: The file to write; None for no report.
        output: The job's output.
        history: The job's progress, updated by calls.

    Attributes:
        options: The job's options.
    """

    def __init__(self, path: Path | None, output: Path, history: "ProgressHistory") -> None:
        from tunesmith.batch import read_runs

        self._path = path
        self._output = output
        self._history = history
        self.options: Mapping[str, Any] = {}
        self._runs = read_runs(output) if path else []
        self._next_s = 0.0

    def __call__(self, progress: "Progress") -> None:
        """Record a progress, and show it in the report."""
        from tunesmith.batch import BatchReport

        self._history(progress)
        if self._path is None or progress.elapsed < self._next_s:
            return
        self._next_s = progress.elapsed + _REFRESH_S
        with suppress(OSError):  # reported at the end
            report = BatchReport.from_progress(progress, str(self._output), self.options)
            self.write(with_option_names(report), refresh_s=_REFRESH_S)

    def write(self, report: "BatchReport", *, refresh_s: int | None = None) -> None:
        """Write the file.

        Raises:
            OSError: The file cannot be written.
        """
        from tunesmith.reports.batch import render_html

        if self._path is not None:
            page = render_html(
                report,
                self._history,
                runs=self._runs,
                refresh_s=refresh_s,
            )
            write_atomic(self._path, page)


def with_option_names(report: "BatchReport") -> "BatchReport":
    """Return a report whose hints name options instead of arguments of Python."""
    causes = tuple(replace(c, message=to_option_names(c.message)) for c in report.causes)
    return replace(report, causes=causes, resume_hint=to_option_names(report.resume_hint))


@contextmanager
def _log_warnings() -> Generator[None]:
    """Print warnings of a job, with options instead of arguments of Python."""
    log = logging.getLogger("tunesmith.batch")
    handler, propagates = _EchoHandler(logging.WARNING), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagates


class _EchoHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        echo(to_option_names(record.getMessage()), err=True, wrap=True)


async def _run(job: "BatchJob") -> "tuple[BatchReport, Exception | None]":
    """Run a job; return its report, and the error that ended it."""
    error: Exception | None = None
    try:
        async with job:
            await job.run()
    except (KeyboardInterrupt, SystemExit):
        pass  # the report says so
    except Exception as problem:
        if not job.has_ended:
            raise
        error = problem
    return job.report, error


command.add_command(status)
command.add_command(list_jobs)


@command.command("cancel")
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@client_command
async def cancel(client: "AsyncClient", output: "Output", target: Path) -> None:
    """Cancel the batches of the job that writes OUTPUT, running or not.

    Rows that are done by then are paid; collect them with batch run --resume.
    """
    from tunesmith.batch import cancel_batches

    cancelled = [batch.id for batch in await cancel_batches(target, client)]
    if output.as_json:
        output.json(cancelled)
    elif cancelled:
        count = len(cancelled)
        output.text(f"{count} {'batch is' if count == 1 else 'batches are'} being cancelled.")
    else:
        output.text("No batch is in progress. Collect finished ones with batch run --resume.")
