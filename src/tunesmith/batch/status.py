"""How far a job is, seen from outside: by its files alone."""

from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

from pydantic_core import to_json

from tunesmith.batch.lock import is_locked
from tunesmith.batch.output import JobPaths
from tunesmith.batch.shard_log import ShardLog
from tunesmith.errors import DatasetError

__all__ = ["Status", "read_status"]

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a job is.

    Args:
        output: The file of answers.
        at_work: Whether a run is at work on it.
        answered: Rows that were answered.
        failed: Rows that failed.
        in_batches: Rows in batches whose outcome was not collected yet.
    """

    output: str
    at_work: bool
    answered: int
    failed: int
    in_batches: int = 0

    def to_json(self) -> str:
        """Write it as JSON."""
        return to_json(asdict(self), indent=2).decode()

    def __str__(self) -> str:
        state = "at work" if self.at_work else "not at work"
        batches = f", {self.in_batches:,} in batches" if self.in_batches else ""
        return (
            f"{self.output}: {self.answered:,} answered, {self.failed:,} failed{batches}; {state}"
        )


def read_status(output: str | PathLike[str]) -> Status:
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
    answers = paths.unordered if paths.unordered.exists() else paths.output
    return Status(
        output=str(paths.output),
        at_work=is_locked(paths.journal),
        answered=_lines(answers),
        failed=_lines(paths.errors),
        in_batches=sum(shard.rows for shard in ShardLog.read(paths).shards.values()),
    )


def _lines(path: Path) -> int:
    if not path.exists():
        return 0
    count = 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            count += piece.count(b"\n")
    return count
