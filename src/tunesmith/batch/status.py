"""Status of a job, by its files."""

from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

from pydantic_core import to_json

from tunesmith.batch.core.states import ShardState
from tunesmith.batch.journal_summary import read_journal
from tunesmith.batch.lock import is_locked
from tunesmith.batch.output import JobPaths

__all__ = ["JobStatus", "read_status"]

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Status of a job.

    Args:
        output: The output file.
        is_running: Whether a process runs it.
        succeeded: Rows that succeeded.
        failed: Rows that failed.
        in_batches: Rows in batches that were not collected.
        rows: Number of rows; None if unknown.
        complete: Whether the last run has ended, and every row has an outcome.
        stopped: Reason why the last run ended early, such as `died`; None if it did not.
        resume_hint: Why the last run ended early, and the next step; empty if it did not.
    """

    output: str
    is_running: bool
    succeeded: int
    failed: int
    in_batches: int = 0
    rows: int | None = None
    complete: bool = False
    stopped: str | None = None
    resume_hint: str = ""

    @property
    def state(self) -> str:
        """State of the job, in words."""
        if self.is_running:
            return "running"
        if self.complete:
            return "complete"
        return "process died" if self.stopped in {None, "died"} else f"stopped: {self.stopped}"

    def to_json(self) -> str:
        """Return JSON."""
        return to_json(asdict(self)).decode()

    def __str__(self) -> str:
        resume = f". {self.resume_hint}" if self.resume_hint else "; resume with resume=True"
        resume = "" if self.is_running or self.complete else resume
        batches = f", {self.in_batches:,} in batches" if self.in_batches else ""
        total = "" if self.rows is None else f" of {self.rows:,}"
        counts = f"{self.succeeded:,}{total} answered, {self.failed:,} failed{batches}"
        return f"{self.output}: {counts}; {self.state}{resume}"


def read_status(output: str | PathLike[str]) -> JobStatus:
    """Return the status of a job, without disturbing it.

    Args:
        output: The output of the job.

    Raises:
        DatasetError: The job does not exist.
    """
    paths = JobPaths(output)
    journal = read_journal(paths)
    report = journal.runs[-1] if journal.runs else None
    is_complete = report is not None and report.complete
    is_running = is_locked(paths.journal)
    return JobStatus(
        output=str(paths.output),
        is_running=is_running,
        succeeded=_count_lines(paths.target) + _count_lines(paths.unordered),
        failed=_count_lines(paths.errors),
        in_batches=sum(
            shard.rows
            for shard in journal.shards.values()
            if shard.state is not ShardState.COLLECTED
        ),
        rows=report.rows if journal.rows is None and report and is_complete else journal.rows,
        complete=is_complete,
        stopped=report.stopped if report and not is_running else None,
        resume_hint=report.resume_hint if report and not is_running else "",
    )


def _count_lines(path: Path) -> int:
    if not path.exists():
        return 0
    count = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            count += chunk.count(b"\n")
    return count
