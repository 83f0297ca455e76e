"""How far a job is, seen from outside: by its files alone."""

from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

from pydantic_core import to_json

from tunesmith.batch.lock import is_locked
from tunesmith.batch.output import JobPaths
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
    """

    output: str
    at_work: bool
    answered: int
    failed: int

    def to_json(self) -> str:
        """Write it as JSON."""
        return to_json(asdict(self), indent=2).decode()

    def __str__(self) -> str:
        state = "at work" if self.at_work else "not at work"
        return f"{self.output}: {self.answered:,} answered, {self.failed:,} failed; {state}"


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
    )


def _lines(path: Path) -> int:
    if not path.exists():
        return 0
    count = 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            count += piece.count(b"\n")
    return count
