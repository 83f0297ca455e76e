"""How far a job is, seen from outside: by its files alone."""

from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from tunesmith.batch.append_log import read_line
from tunesmith.batch.batch_api.batches import read_shards
from tunesmith.batch.lock import is_locked
from tunesmith.batch.output import JobPaths
from tunesmith.errors import DatasetError

__all__ = ["JobStatus", "read_status"]

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """How far a job is.

    Args:
        output: The file of answers.
        is_running: Whether a run is at work on it.
        succeeded: Rows that were answered.
        failed: Rows that failed.
        in_batches: Rows in batches whose outcome was not collected yet.
        rows: How many rows there are; None if nobody knows.
        complete: Whether the last run has ended, and every row has an outcome.
        stopped: Why the last run ended before that; None if it did not, or did not say.
    """

    output: str
    is_running: bool
    succeeded: int
    failed: int
    in_batches: int = 0
    rows: int | None = None
    complete: bool = False
    stopped: str | None = None

    def to_json(self) -> str:
        """Write it as JSON."""
        return to_json(asdict(self)).decode()

    def __str__(self) -> str:
        if self.is_running:
            state = "at work"
        elif self.complete:
            state = "complete"
        else:
            state = f"ended by {self.stopped!r}" if self.stopped else "ended without a word"
            state = f"{state}: go on with resume=True"
        batches = f", {self.in_batches:,} in batches" if self.in_batches else ""
        of = "" if self.rows is None else f" of {self.rows:,}"
        answered = f"{self.succeeded:,}{of} answered"
        return f"{self.output}: {answered}, {self.failed:,} failed{batches}; {state}"


def read_status(output: str | PathLike[str]) -> JobStatus:
    """Look at the files of a job, without disturbing it.

    Args:
        output: The file of answers.

    Raises:
        DatasetError: There is no such job.
    """
    paths = JobPaths(output)
    if not paths.journal.exists():
        raise DatasetError(
            "There is no journal of a job here.",
            file=str(paths.journal),
            remedy="Give the output that the job was given.",
        )
    rows, report = _last_run(paths.journal)
    return JobStatus(
        output=str(paths.output),
        is_running=is_locked(paths.journal),
        succeeded=_lines(paths.target) + _lines(paths.unordered),
        failed=_lines(paths.errors),
        in_batches=sum(shard.rows for shard in read_shards(paths)[1].values()),
        rows=rows if rows is not None or not report.get("complete") else report.get("rows"),
        complete=bool(report.get("complete")),
        stopped=report.get("stopped"),
    )


def _last_run(journal: Path) -> tuple[int | None, dict[str, Any]]:
    """How many rows the last run knew of, and its report; an empty one if it has not ended."""
    rows: int | None = None
    report: dict[str, Any] = {}
    with journal.open("rb") as stream:
        for line in stream:
            if line.startswith((b'{"begun":', b'{"report":')):
                data = read_line(line) or {}
                report = data.get("report") or {}
                rows = data.get("begun", rows)
    return rows, report


def _lines(path: Path) -> int:
    if not path.exists():
        return 0
    count = 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            count += piece.count(b"\n")
    return count
