"""Files of a job: ownership, and writing of outcomes."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from tunesmith._atomic import atomic_write
from tunesmith._json_types import is_object
from tunesmith.batch.append_log import AppendOnlyJsonl, LogLine, read_line
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.entries import JobBegun
from tunesmith.batch.endpoints import ENDPOINTS, Endpoint
from tunesmith.batch.index import KeyIndex, Location
from tunesmith.batch.journal import Journal, read_header
from tunesmith.batch.lock import try_lock_file
from tunesmith.batch.results import Result, Usage, parse_usage
from tunesmith.errors import ConfigurationError, DatasetError

__all__ = ["JobPaths", "OutputFiles", "ResultCallback"]

_LINE_PREFIX = b'{"custom_id":'
"""Beginning of each line of a job's files."""

_ANSWERS, _SPOOL, _ERRORS = range(3)
"""Numbers of the files, in locations."""

_ENDPOINTS = tuple(ENDPOINTS.values())

ResultCallback = Callable[[Result], None]
"""Called with each result in the order of the job."""


class JobPaths:
    """Paths of the files of a job.

    Args:
        output: The output file, such as `answers.jsonl`.

    Attributes:
        output: The output file as passed.
        target: The same file without symbolic links.
        errors: File of failed rows: `answers.errors.jsonl`.
        journal: The journal: `answers.journal`.
        unordered: New successes of a job whose output has the order of the input.

    Raises:
        ConfigurationError: The name is empty, or that of a journal.
    """

    def __init__(self, output: str | PathLike[str]) -> None:
        self.output = Path(fspath(output))
        if self.output.suffix == ".journal" or not self.output.name:
            raise ConfigurationError(f"{self.output} cannot be an output: choose a .jsonl file")
        try:
            is_link = self.output.is_symlink()
            self.target = Path(os.path.realpath(self.output)) if is_link else self.output
            self.errors = self.target.with_suffix(f".errors{self.target.suffix}")
            self.journal = self.target.with_suffix(".journal")
            self.unordered = self.target.with_suffix(f".unordered{self.target.suffix}")
            _ = self.existing
        except OSError as error:  # its name is too long
            raise ConfigurationError(f"{self.output} cannot be an output: {error}") from None

    def shard(self, job: str, number: int) -> Path:
        """Return the file of a shard, named by the job so that no other job has it."""
        return self.target.with_suffix(f".{job}.shard-{number}.jsonl")

    def shards(self, job: str) -> list[Path]:
        """Return the existing files of shards."""
        prefix = f"{self.target.stem}.{job}.shard-"
        folder = self.target.parent
        return [path for path in folder.iterdir() if path.name.startswith(prefix)]

    def check_source(self, source: Path | None) -> None:
        """Refuse to overwrite the source.

        Raises:
            ConfigurationError: The source is one of these files.
        """
        paths = (self.target, self.errors, self.journal, self.unordered)
        if source is not None and source.resolve() in {path.resolve() for path in paths}:
            raise ConfigurationError(f"{source} is the source: choose another output")

    def check(self, settings: Mapping[str, Any], *, resume: bool) -> JobBegun | None:
        """Refuse files of other jobs and other settings, before anything is created or changed.

        Args:
            settings: Settings that a resumed run must repeat.
            resume: Whether files may exist.

        Returns:
            The header of the journal; None without a journal.

        Raises:
            ConfigurationError: The folder does not exist, a file is not this job's, or the job
                had other settings.
        """
        if not self.target.parent.is_dir():
            raise ConfigurationError(f"{self.target.parent} is not a folder: create it first")
        existing = self.existing
        for path in existing:
            if not path.is_file():
                raise ConfigurationError(f"{path} is not a regular file: choose another output")
        if existing and not resume:
            raise ConfigurationError(
                f"{existing[0]} already exists: resume with resume=True, or choose another output"
            )
        self._check_other_jobs(existing)
        header = read_header(self.journal)
        if header is None:
            self._check_without_journal(existing)
        elif header.output != self.target.name:
            raise ConfigurationError(
                f"{self.journal} belongs to {header.output}: choose another output"
            )
        else:
            self._check_settings(header.settings, settings)
        return header

    def _check_other_jobs(self, existing: list[Path]) -> None:
        """Refuse files that are those of a job with another output."""
        for path in existing:
            other = path.with_suffix(".journal")
            if other != self.journal and other.exists():
                raise ConfigurationError(
                    f"{path} is the output of another job: choose another output"
                )
        base = self.target.with_suffix("")
        if base.suffix in {".errors", ".unordered"} and base.with_suffix(".journal").exists():
            raise ConfigurationError(
                f"{self.target} is a file of another job, {base.with_suffix(self.target.suffix)}: "
                "choose another output"
            )

    def _check_without_journal(self, existing: list[Path]) -> None:
        for path in existing:
            if path != self.journal and not _is_job_file(path):
                raise ConfigurationError(
                    f"{path} exists, and no journal records that this job wrote it: choose another "
                    "output"
                )

    def _check_settings(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        for name, value in now.items():
            if name in before and before[name] != value:
                raise ConfigurationError(
                    f"{self.journal} belongs to a job with {name}={before[name]!r}, not {value!r}: "
                    "choose another output, or pass the same setting"
                )

    @property
    def existing(self) -> list[Path]:
        """Existing files."""
        paths = (self.target, self.errors, self.unordered, self.journal)
        return [path for path in paths if path.exists()]

    def remove(self) -> None:
        """Remove all files, the journal last."""
        for path in self.existing:
            with suppress(OSError):  # Windows keeps open files
                path.unlink()


class OutputFiles:
    """Writer of outcomes, which also delivers the results of this run.

    Args:
        paths: Paths of the files.
        index: Table of keys.
        deliver: Called with each result of this run, in the order of the output.
        parse: Parses a success again as an object of `response_format`.
        is_ordered: Whether the output has the order of the input.

    Attributes:
        is_wanted: Whether results are delivered.
        buffered: Outcomes on disk that wait for earlier rows before they are delivered.

    Raises:
        ConfigurationError: Another run is writing to the output, by any name.
        DatasetError: A file cannot be opened.
    """

    def __init__(
        self,
        paths: JobPaths,
        index: KeyIndex,
        deliver: ResultCallback,
        parse: Callable[[Result], Result],
        *,
        is_ordered: bool,
    ) -> None:
        self._paths = paths
        self._index = index
        self._deliver = deliver
        self._parse = parse
        self.is_wanted = False
        self._next_number = 0
        self.buffered = 0
        self.answers = AppendOnlyJsonl(paths.target)
        if not try_lock_file(self.answers.descriptor):
            self.answers.close()
            raise ConfigurationError(
                f"another run is writing to {paths.output}, perhaps by another name: wait until "
                "it ends, or choose another output"
            )
        self.errors = AppendOnlyJsonl(paths.errors)
        self._spool = AppendOnlyJsonl(paths.unordered) if is_ordered else None

    @property
    def _files(self) -> list[AppendOnlyJsonl]:
        files = (self.answers, self._spool, self.errors)
        return [file for file in files if file is not None]

    # --- earlier runs ---

    def restore(self, core: JobCore, journal: Journal) -> None:
        """Read all outcomes; incomplete last lines are cut off.

        Raises:
            DatasetError: A file is damaged.
        """
        for number, file in enumerate((self.answers, self._spool)):
            if file is not None:
                self._restore(core, journal, file, number, is_answer=True)
        self._restore(core, journal, self.errors, _ERRORS, is_answer=False)

    def _restore(
        self,
        core: JobCore,
        journal: Journal,
        file: AppendOnlyJsonl,
        number: int,
        *,
        is_answer: bool,
    ) -> None:
        for line in file.recover():
            key = str(line.data.get("custom_id"))
            for missing in core.restore_outcome(key, _usage(line), is_answer=is_answer):
                journal.append(missing.entry)
            if self._spool is not None:
                self._index.set_location(key, number, line.offset, line.length)

    # --- this run ---

    def add(self, result: Result, number: int | None) -> None:
        """Write the outcome of a row.

        Args:
            result: The outcome.
            number: Its position in the source; None if unknown.

        Raises:
            DatasetError: The disk is full, or the file cannot be written.
        """
        line = result.to_line()
        if self._spool is None:
            (self.answers if result.ok else self.errors).add(line)
            if self.is_wanted:
                self._deliver(result)
            return
        file, code = (self._spool, _SPOOL) if result.ok else (self.errors, _ERRORS)
        endpoint = _ENDPOINTS.index(result.endpoint)
        self._index.set_location(result.key, code, file.add(line), len(line), endpoint)
        if number is None or not self.is_wanted:
            return
        self.buffered += 1
        if number == self._next_number:
            self.buffered -= 1
            self._deliver(result)
            self._next_number += 1
            self.advance()

    def advance(self) -> None:
        """Deliver results that no earlier row holds up."""
        while self._spool is not None and self.is_wanted:
            location = self._index.locate(self._next_number)
            if location is None:
                return
            self._next_number += 1
            if location.endpoint is not None:
                endpoint = _ENDPOINTS[location.endpoint]
                self.buffered -= 1
                self._deliver(self._read(location, endpoint))

    def _read(self, location: Location, endpoint: Endpoint) -> Result:
        file = (self.answers, self._spool, self.errors)[location.file] or self.answers
        data: Any = from_json(file.read(location.offset, location.size))
        result = Result.from_line(data, line=location.line, endpoint=endpoint)
        return self._parse(result) if result.ok else result

    def clear_errors(self) -> None:
        """Remove the failed rows, which are retried."""
        self.errors.clear()

    def sync(self) -> None:
        """Sync everything that was written; blocks.

        Raises:
            DatasetError: The disk is full or damaged.
        """
        for file in self._files:
            file.sync()

    def finish(self, *, is_complete: bool) -> None:
        """Order the output, and remove empty files; blocks.

        Args:
            is_complete: Whether every row has an outcome.

        Raises:
            DatasetError: The disk is full or damaged.
        """
        self.sync()
        if self._spool is not None:
            if self._spool.size or is_complete:
                self._merge()
            self._spool.close()
            self._spool = None
            self._paths.unordered.unlink(missing_ok=True)
        if is_complete and not self.errors.size:
            self._paths.errors.unlink(missing_ok=True)

    def _merge(self) -> None:
        """Replace the output by an ordered one, once that is complete."""
        spool = self._spool or self.answers
        try:
            with atomic_write(self._paths.target) as part, part.open("wb") as stream:
                for file, offset, size in self._index.ordered(_ERRORS):
                    source = spool if file == _SPOOL else self.answers
                    stream.write(source.read(offset, size))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise DatasetError(
                f"The ordered output cannot be written: {error.strerror or error}.",
                file=str(self._paths.output),
                remedy="Finished rows are kept: fix this, and resume.",
            ) from error

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def _is_job_file(path: Path) -> bool:
    """Return whether a job can have written a file, such as an empty one."""
    with path.open("rb") as stream:
        first = stream.readline()
    if first.endswith(b"\n"):
        data = read_line(first)
        return data is not None and {"custom_id", "response"} <= data.keys()
    return first.startswith(_LINE_PREFIX) or _LINE_PREFIX.startswith(first.rstrip(b"\0"))


def _usage(line: LogLine) -> Usage | None:
    response: Any = line.data.get("response")
    body: Any = response.get("body") if is_object(response) else None
    return parse_usage(body) if is_object(body) else None
