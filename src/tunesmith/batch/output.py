"""The files of a job: whose they are, and how outcomes get into them."""

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

_BEGINNING = b'{"custom_id":'
"""What each line of a job's files begins with."""

_ANSWERS, _SPOOL, _ERRORS = range(3)
"""Numbers of the files, in locations."""

_ENDPOINTS = tuple(ENDPOINTS.values())

ResultCallback = Callable[[Result], None]
"""Takes a result once its turn has come."""


class JobPaths:
    """The files that belong to an output file.

    Args:
        output: The file of answers, such as `answers.jsonl`.

    Attributes:
        output: The answers, by the name that was given.
        target: The same file without symbolic links: one output is one file, whatever its name.
        errors: The rows that failed: `answers.errors.jsonl`.
        journal: What was sent: `answers.journal`.
        unordered: New answers of a job whose output has the order of the input.

    Raises:
        ConfigurationError: The name is that of a journal, or empty.
    """

    def __init__(self, output: str | PathLike[str]) -> None:
        self.output = Path(fspath(output))
        if self.output.suffix == ".journal" or not self.output.name:
            raise ConfigurationError(f"{self.output} cannot be an output: choose a .jsonl file")
        is_link = self.output.is_symlink()
        self.target = Path(os.path.realpath(self.output)) if is_link else self.output
        self.errors = self.target.with_suffix(f".errors{self.target.suffix}")
        self.journal = self.target.with_suffix(".journal")
        self.unordered = self.target.with_suffix(f".unordered{self.target.suffix}")

    def shard(self, job: str, number: int) -> Path:
        """Return the file of a shard; its name has that of the job, so no other job has it."""
        return self.target.with_suffix(f".{job}.shard-{number}.jsonl")

    def shards(self, job: str) -> list[Path]:
        """Return the existing files of shards."""
        prefix = f"{self.target.stem}.{job}.shard-"
        folder = self.target.parent
        return [path for path in folder.iterdir() if path.name.startswith(prefix)]

    def check_source(self, source: Path | None) -> None:
        """Refuse to write where the rows come from.

        Raises:
            ConfigurationError: The source is one of these files.
        """
        paths = (self.target, self.errors, self.journal, self.unordered)
        if source is not None and source.resolve() in {path.resolve() for path in paths}:
            raise ConfigurationError(f"{source} is the source: choose another output")

    def check(self, settings: Mapping[str, Any], *, resume: bool) -> JobBegun | None:
        """Refuse files of others and other settings, before anything is created or changed.

        Args:
            settings: What a resumed run must repeat.
            resume: Whether files may exist.

        Returns:
            The header of the journal; None if there is none.

        Raises:
            ConfigurationError: There is no such folder, a file exists that is not this job's, or
                the job had other settings.
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

    def _check_without_journal(self, existing: list[Path]) -> None:
        for path in existing:
            if path == self.journal:
                continue
            other = path.with_suffix(".journal")
            is_foreign = path != self.target and other.exists()
            if is_foreign or not _is_job_file(path):
                raise ConfigurationError(
                    f"{path} exists, and no journal says that this job wrote it: choose another "
                    "output"
                )

    def _check_settings(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        for name, value in now.items():
            if name in before and before[name] != value:
                raise ConfigurationError(
                    f"{self.journal} belongs to a job with {name}={before[name]!r}, and this one "
                    f"has {value!r}: choose another output, or give what the job had"
                )

    @property
    def existing(self) -> list[Path]:
        """Those of the files that exist."""
        paths = (self.target, self.errors, self.unordered, self.journal)
        return [path for path in paths if path.exists()]

    def remove(self) -> None:
        """Remove them all; the journal last."""
        for path in self.existing:
            with suppress(OSError):  # some systems keep what is open
                path.unlink()


class OutputFiles:
    """Writes each outcome once, and delivers the results of this run.

    Args:
        paths: The files.
        index: Table of keys.
        is_ordered: Whether the output has the order of the input.
        deliver: Takes each result of this run, in that order.
        parse: Reads an answer once more as an object of `response_format`.

    Attributes:
        is_wanted: Whether results are delivered.
        buffered: Outcomes on disk whose turn to be delivered has not come.

    Raises:
        ConfigurationError: Another run is writing to the output, by whatever name.
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

    # --- what earlier runs wrote ---

    def restore(self, core: JobCore, journal: Journal) -> None:
        """Read all outcomes; torn last lines are cut off.

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

    # --- what this run writes ---

    def add(self, result: Result, number: int | None) -> None:
        """Write the outcome of a row.

        Args:
            result: The outcome.
            number: Its position in the source; None if that is not known yet.

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
        """Deliver the results whose turn has come."""
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
        """Remove the rows that failed: they are sent again."""
        self.errors.clear()

    def sync(self) -> None:
        """Make everything that was written safe from a power loss; blocks.

        Raises:
            DatasetError: The disk is full, or broken.
        """
        for file in self._files:
            file.sync()

    def finish(self, *, is_complete: bool) -> None:
        """Put answers in order, and remove what is empty; blocks.

        Args:
            is_complete: Whether every row has an outcome.

        Raises:
            DatasetError: The disk is full, or broken.
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
        """Replace the output by one in order, once that is whole."""
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
                f"The answers cannot be put in order: {error.strerror or error}.",
                file=str(self._paths.output),
                remedy="Nothing that was finished is lost: fix this, and resume.",
            ) from error

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def _is_job_file(path: Path) -> bool:
    """Return whether a job wrote a file; an empty one may be a job's."""
    with path.open("rb") as stream:
        first = stream.readline()
    if first.endswith(b"\n"):
        data = read_line(first)
        return data is not None and {"custom_id", "response"} <= data.keys()
    return first.startswith(_BEGINNING) or _BEGINNING.startswith(first.rstrip(b"\0"))


def _usage(line: LogLine) -> Usage | None:
    response: Any = line.data.get("response")
    body: Any = response.get("body") if is_object(response) else None
    return parse_usage(body) if is_object(body) else None
