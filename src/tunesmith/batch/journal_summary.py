"""Journals as seen from outside, without disturbing the run that writes them."""

from dataclasses import dataclass, field
from os import PathLike

from tunesmith.batch.append_log import read_line
from tunesmith.batch.concurrency import AdaptiveConcurrency
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.entries import JobBegun, RunBegun, RunEnded, ShardEntry, parse_entry
from tunesmith.batch.core.ledger import Ledger
from tunesmith.batch.core.state import CoreOptions, JobState
from tunesmith.batch.core.states import RowRecord, Shard
from tunesmith.batch.core.throttle import Throttle
from tunesmith.batch.output import JobPaths
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.batch.report import BatchReport
from tunesmith.errors import DatasetError

__all__ = ["JournalSummary", "read_journal", "read_runs"]

_RELEVANT = (b'{"journal"', b'{"begun"', b'{"shard"', b'{"report"')


@dataclass(slots=True)
class JournalSummary:
    """Facts in a journal, except for single rows.

    Args:
        job: Name of the job in the metadata of its batches.
        rows: Number of rows in the last run that knew it; None if unknown.
        runs: Reports of the runs; `died` for one that has not ended, or whose process died.
        shards: Shards that are not closed, by number.
    """

    job: str = ""
    rows: int | None = None
    runs: list[BatchReport] = field(default_factory=list[BatchReport])
    shards: dict[int, Shard] = field(default_factory=dict[int, Shard])


class _EmptyTable:
    """Row table of a core that replays only entries of shards."""

    def get(self, key: str) -> RowRecord | None:  # noqa: ARG002
        """Return nothing."""
        return None

    def put(self, key: str, record: RowRecord) -> None:
        """Store nothing."""


def read_journal(paths: JobPaths) -> JournalSummary:
    """Read the journal of a job.

    Raises:
        DatasetError: The job does not exist.
    """
    throttle = Throttle(RateLimiter(), AdaptiveConcurrency(1))
    core = JobCore(JobState(CoreOptions(), Ledger(), throttle, _EmptyTable()))
    summary = JournalSummary(shards=core.batches.shards)
    try:
        stream = paths.journal.open("rb")
    except FileNotFoundError:
        raise DatasetError(
            "This job does not exist.",
            file=str(paths.journal),
            remedy="Pass the output of a job that was run.",
        ) from None
    with stream:
        for line in stream:
            data = read_line(line) if line.startswith(_RELEVANT) else None
            entry = parse_entry(data) if data is not None else None
            if isinstance(entry, JobBegun):
                summary.job = entry.job
            elif isinstance(entry, RunBegun):
                summary.runs.append(_dead_run(paths, entry))
                summary.rows = summary.rows if entry.rows is None else entry.rows
            elif isinstance(entry, RunEnded) and summary.runs:
                summary.runs[-1] = BatchReport.from_dict(entry.report) or summary.runs[-1]
            elif isinstance(entry, ShardEntry):
                core.replay(entry)
    return summary


def _dead_run(paths: JobPaths, entry: RunBegun) -> BatchReport:
    return BatchReport(
        output=str(paths.output),
        errors=str(paths.errors),
        journal=str(paths.journal),
        rows=entry.rows or 0,
        remaining=None,
        stopped="died",
        started_at=entry.started_at,
        options=entry.options or {},
    )


def read_runs(output: str | PathLike[str]) -> list[BatchReport]:
    """Return the reports of all runs of a job, oldest first.

    Args:
        output: The output of the job.

    Returns:
        The reports; `stopped` is `died` for a run that has not ended, or whose process died. Empty
        if the job does not exist.
    """
    paths = JobPaths(output)
    return read_journal(paths).runs if paths.journal.exists() else []
