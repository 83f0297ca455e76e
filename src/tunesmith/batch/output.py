"""The files of a job: answers, errors, and the order they are in."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.batch.append_log import AppendOnlyJsonl, LogLine, read_line
from tunesmith.batch.endpoints import Endpoint
from tunesmith.batch.index import KeyIndex, RowState, RowStatus
from tunesmith.batch.results import Result, Usage, parse_usage
from tunesmith.batch.rows import RequestRow
from tunesmith.datasets.json_types import is_object
from tunesmith.errors import ConfigurationError
from tunesmith.types.batch_lines import BatchResponseLine

__all__ = ["JobPaths", "OutputWriter"]

_BEGINNING = b'{"custom_id":'
"""What each line of a job's files begins with."""

ResultCallback = Callable[[Result], None]
"""Takes a result once its turn has come."""


class JobPaths:
    """The files that belong to an output file.

    Args:
        output: The file of answers, such as `answers.jsonl`.

    Attributes:
        output: The answers.
        errors: The rows that failed: `answers.errors.jsonl`.
        journal: What was sent: `answers.journal`.
        unordered: Answers whose turn has not come, where the order is that of the input.

    Raises:
        ConfigurationError: It has the name of a journal, or none.
    """

    def __init__(self, output: str | PathLike[str]) -> None:
        self.output = Path(fspath(output))
        if self.output.suffix == ".journal" or not self.output.name:
            raise ConfigurationError(f"{self.output} cannot be an output: name a .jsonl file")
        self.errors = self.output.with_suffix(f".errors{self.output.suffix}")
        self.journal = self.output.with_suffix(".journal")
        self.unordered = self.output.with_suffix(f".unordered{self.output.suffix}")

    def check_source(self, source: Path | None) -> None:
        """Refuse to write where the rows come from.

        Raises:
            ConfigurationError: The source is one of these files.
        """
        paths = (self.output, self.errors, self.journal, self.unordered)
        if source is not None and source.resolve() in {path.resolve() for path in paths}:
            raise ConfigurationError(f"{source} is the source: name another output")

    def check(self) -> None:
        """Refuse what no job has written, before anything in it is cut off or moved.

        Raises:
            ConfigurationError: There is no such folder, or something else is there.
        """
        folder = self.output.parent
        if not folder.is_dir():
            raise ConfigurationError(f"there is no folder {folder}: make it first")
        for path in (self.output, self.errors):
            if path.exists() and not _is_of_a_job(path):
                raise ConfigurationError(
                    f"{path} is there, and was not written by a job: name another output"
                )

    def written(self) -> list[Path]:
        """Those of them that are there."""
        paths = (self.output, self.errors, self.unordered, self.journal)
        return [path for path in paths if path.exists()]

    def remove(self) -> None:
        """Remove them all; the journal last."""
        for path in self.written():
            with suppress(OSError):  # some systems keep what is open
                path.unlink()

    @property
    def existing(self) -> Path | None:
        """One of them that is there already; None if none is."""
        return next(iter(self.written()), None)


class _Buffered(NamedTuple):
    """An answer whose turn has not come; its body is on disk."""

    offset: int
    length: int
    result: Result | None
    """None for one of an earlier run."""


class OutputWriter:
    """Takes results, and writes each one once.

    Args:
        paths: The files.
        ordered: Whether answers stand in the order of the input, instead of as they come.
        deliver: Takes each result of this run, in that order.

    Raises:
        DatasetError: A file cannot be opened.
    """

    def __init__(
        self, paths: JobPaths, *, ordered: bool = False, deliver: ResultCallback | None = None
    ) -> None:
        self._paths = paths
        self._deliver = deliver
        self._spool: AppendOnlyJsonl | None = None
        if ordered:
            if not paths.unordered.exists() and paths.output.exists():
                # A job that was finished before: its answers are put in order anew.
                paths.output.replace(paths.unordered)
            self._spool = AppendOnlyJsonl(paths.unordered)
        self.answers = AppendOnlyJsonl(paths.output)
        self.errors = AppendOnlyJsonl(paths.errors)
        self._waiting: dict[int, _Buffered] = {}
        self.next_number = 0

    @property
    def buffered(self) -> int:
        """How many outcomes wait for their turn."""
        return len(self._waiting)

    def failed(self) -> Iterator[tuple[str, Usage]]:
        """Go through the rows that failed in earlier runs, with what was paid for them.

        Raises:
            DatasetError: The file is damaged.
        """
        for found in self.errors.recover():
            yield str(found.data.get("custom_id")), _usage(found)

    def replay(self, index: KeyIndex) -> Usage:
        """Read what earlier runs wrote; torn last lines are cut off.

        Args:
            index: The outcomes are noted there.

        Returns:
            The tokens of all answers.

        Raises:
            DatasetError: A file is damaged.
        """
        usages: list[Usage] = [Usage()]

        def outcomes(
            file: AppendOnlyJsonl, state: RowStatus
        ) -> Iterator[tuple[str, RowStatus, int, int]]:
            for found in file.recover():
                usages[0] += _usage(found)
                yield str(found.data.get("custom_id")), state, found.offset, found.length

        index.update(outcomes(self.errors, RowStatus.FAILED))
        index.update(outcomes(self._spool or self.answers, RowStatus.DONE))
        if self._spool is not None:
            self.answers.clear()
        return usages[0]

    def mark_existing(self, number: int, known: RowState) -> None:
        """Take note of a row that an earlier run has finished."""
        if self._spool is not None:
            length = known.length if known.state is RowStatus.DONE else 0
            self._waiting[number] = _Buffered(known.offset, length, None)
            self._flush_ready()

    def add(self, row: RequestRow, result: Result) -> None:
        """Write the outcome of a row.

        Raises:
            DatasetError: The disk is full, or the file cannot be written.
        """
        line = result.to_line()
        if self._spool is None:
            (self.answers if result.ok else self.errors).add(line)
            if self._deliver is not None:
                self._deliver(result)
            return
        offset = (self._spool if result.ok else self.errors).add(line)
        length = len(line) if result.ok else 0
        light = replace(result, body=None) if result.ok else result
        self._waiting[row.number] = _Buffered(offset, length, light)
        self._flush_ready()

    def _flush_ready(self) -> None:
        spool = self._spool
        while spool is not None and (turn := self._waiting.pop(self.next_number, None)):
            self.next_number += 1
            result = turn.result
            if turn.length:
                line = spool.read(turn.offset, turn.length)
                self.answers.add(line)
                if result is not None and self._deliver is not None:
                    result = _with_body(result, line, result.endpoint)
            if result is not None and self._deliver is not None:
                self._deliver(result)

    def sync(self) -> None:
        """Make all that was written safe from the death of the machine; blocks."""
        for file in self._files():
            file.sync()

    def finish(self, index: KeyIndex) -> None:
        """Tidy up once every row has an outcome; blocks."""
        if self._spool is not None:
            # Their rows are not in the source any more, but they were paid.
            for offset, length in index.unseen():
                self.answers.add(self._spool.read(offset, length))
        self.sync()
        if self._spool is not None:
            self._spool.close()
            self._spool = None
            self._paths.unordered.unlink()
        if not self.errors.size:
            self._paths.errors.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        for file in self._files():
            file.close()

    def _files(self) -> list[AppendOnlyJsonl]:
        return [file for file in (self._spool, self.answers, self.errors) if file is not None]


def _is_of_a_job(path: Path) -> bool:
    """Whether a job has written a file; one that is empty could be a job's."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        first = stream.readline()
    if first.endswith(b"\n"):
        data = read_line(first)
        return data is not None and {"custom_id", "response"} <= data.keys()
    return first.startswith(_BEGINNING) or _BEGINNING.startswith(first.rstrip(b"\0"))


def _usage(found: LogLine) -> Usage:
    response: Any = found.data.get("response")
    body: Any = response.get("body") if is_object(response) else None
    return parse_usage(body) if is_object(body) else Usage()


def _with_body(result: Result, line: bytes, endpoint: Endpoint) -> Result:
    found = BatchResponseLine.model_validate_json(line)
    whole = Result.from_line(found, number=result.line, endpoint=endpoint)
    return replace(result, body=whole.body)
