"""`tunesmith batch status` and `list`: jobs as their files show them."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from pydantic_core import from_json, to_json

from tunesmith.batch.journal import read_header
from tunesmith.batch.output import JobPaths
from tunesmith.batch.report import Progress
from tunesmith.batch.results import Usage, parse_usage
from tunesmith.batch.status import JobStatus, read_status
from tunesmith.cli.batch_progress import progress_reporter
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import click_errors, to_option_names
from tunesmith.cli.output import Output, echo
from tunesmith.errors import TunesmithError

if TYPE_CHECKING:
    from tunesmith.datasets.cost import Prices

__all__ = ["list_jobs", "status"]

_MAX_CAUSES = 5
_MESSAGE_CHARS = 200


@click.command("status")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Show rate, ETA and cost until the run ends.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    help="With --watch: seconds between updates.",
)
@click.option("--prices", type=click.Path(path_type=Path), help="JSON file with prices.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(output: Path, watch: bool, interval: float, prices: Path | None, as_json: bool) -> None:
    """Show the progress of the job that writes OUTPUT, running or not."""
    from tunesmith.datasets.cost import Prices

    with click_errors():
        tally = Tally(JobPaths(output), Prices.read(prices) if prices else None)
        current = read_status(output)
        if watch and current.is_running:
            current = _watch(output, tally, interval)
    if as_json:
        echo(current.to_json())
        return
    echo(to_option_names(str(current)), wrap=True)
    tally.read()
    causes = tally.causes.most_common()
    for (code, message), rows in causes[:_MAX_CAUSES]:
        echo(to_option_names(f"{rows:,} failed by {code}: {message}"), wrap=True, indent=2)
    if rest := sum(rows for _, rows in causes[_MAX_CAUSES:]):
        echo(f"{rest:,} more failed: see {JobPaths(output).errors}", wrap=True, indent=2)


def _watch(output: Path, tally: "Tally", interval_s: float) -> JobStatus:
    """Show a job's progress until its run ends."""
    start = time.monotonic()
    first: int | None = None
    with progress_reporter() as show:
        while True:
            current = read_status(output)
            tally.read()
            finished = current.succeeded + current.failed
            first = finished if first is None else first
            elapsed_s = time.monotonic() - start
            show(_to_progress(current, tally, elapsed_s, finished - first))
            if not current.is_running:
                return current
            time.sleep(interval_s)


def _to_progress(current: JobStatus, tally: "Tally", elapsed_s: float, rows: int) -> Progress:
    return Progress(
        total=current.rows,
        done=current.succeeded,
        failed=current.failed,
        in_flight=0,
        concurrency=0,
        usage=tally.usage,
        usd=tally.usd,
        elapsed=elapsed_s,
        rows_per_second=rows / elapsed_s if elapsed_s else 0.0,
        in_batches=current.in_batches,
    )


class Tally:
    """Tokens, cost and causes of failure in a job's files, read as they grow.

    Args:
        paths: The job's files.
        prices: Prices; None for no cost.
    """

    def __init__(self, paths: JobPaths, prices: "Prices | None") -> None:
        self.usage = Usage()
        self.usd = None if prices is None else 0.0
        self.causes: Counter[tuple[str, str]] = Counter()
        self._prices = prices
        header = read_header(paths.journal)
        self._is_ordered = header is not None and header.settings.get("order") == "input"
        self._answers = _Tail(paths.target)
        self._unordered = _Tail(paths.unordered)
        self._errors = _Tail(paths.errors)

    def read(self) -> None:
        """Count the lines written since the last call."""
        for line in chain(self._answers.lines(), self._unordered.lines()):
            body = _body(line)
            usage = parse_usage(body) or Usage()
            self.usage += usage
            if self._prices is not None and self.usd is not None:
                price = self._prices.completion_prices(str(body.get("model"))) or (0.0, 0.0)
                self.usd += (price[0] * usage.prompt + price[1] * usage.completion) / 1e6
        if self._is_ordered:
            # At the end of the run, it gets the lines of the other file.
            self._answers.close()
        for line in self._errors.lines():
            error: dict[str, Any] = line.get("error") or _body(line).get("error") or {}
            message = str(error.get("message") or "")[:_MESSAGE_CHARS]
            self.causes[str(error.get("code") or "error"), message] += 1


class _Tail:
    """Complete lines of a growing file, each once."""

    def __init__(self, path: Path) -> None:
        self._path: Path | None = path
        self._offset = 0

    def close(self) -> None:
        self._path = None

    def lines(self) -> Iterator[dict[str, Any]]:
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                try:
                    value: Any = from_json(line)
                except ValueError:
                    continue
                if isinstance(value, dict):
                    yield cast("dict[str, Any]", value)


def _body(line: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = line.get("response") or {}
    return response.get("body") or {}


@click.command("list")
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path()
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_obj
def list_jobs(connection: ServiceOptions, folder: Path, as_json: bool) -> None:
    """List the jobs with files in FOLDER, by default the current one."""
    jobs: list[JobStatus] = []
    for journal in sorted(folder.glob("*.journal")):
        try:
            header = read_header(journal)
            name = Path(header.output).name if header else f"{journal.stem}.jsonl"
            jobs.append(read_status(folder / name))
        except (TunesmithError, OSError, ValueError) as error:
            echo(f"{journal}: {error}", err=True, wrap=True)
    if as_json:
        click.echo(to_json(jobs).decode())
        return
    output = Output(connection, as_json=False)
    if not jobs and output.is_terminal:
        output.text("No jobs in this folder.")
        return
    output.show_table(
        (),
        ("output", "state", "answered", "failed", "rows"),
        [(j.output, j.state, j.succeeded, j.failed, j.rows) for j in jobs],
    )
