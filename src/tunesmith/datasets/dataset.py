"""The way in: a dataset, wherever its rows come from."""

import weakref
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from os import PathLike
from tempfile import TemporaryFile
from typing import IO, Any, TypeGuard, cast

import anyio.to_thread
from pydantic_core import PydanticSerializationError, from_json, to_json

from tunesmith.datasets.checks import diagnose
from tunesmith.datasets.convert import converter_for
from tunesmith.datasets.diagnosis import Check, Diagnosis
from tunesmith.datasets.formats import detect_format, normalizer_for
from tunesmith.datasets.read import MAX_LINE_BYTES, DataFile, OnBroken, ReadIssues, read
from tunesmith.datasets.read.files import FileType
from tunesmith.datasets.rows import Chunk, Format, Row, chunks
from tunesmith.datasets.threads import run_in_thread
from tunesmith.errors import DatasetError

__all__ = ["Dataset", "Source"]

Source = str | PathLike[str] | IO[bytes] | IO[str] | Iterable[Mapping[str, Any]]
"""A path, a file object, or rows."""


class Dataset:
    """Rows to train on, in a file or in memory. Made by `Dataset.open`.

    Attributes:
        file: What the file is called in messages; None for rows given as objects.
    """

    def __init__(
        self,
        rows: DataFile | Iterable[Mapping[str, Any]],
        *,
        format: Format | None,
        to: Format | None,
        system: str | None,
        rename: Mapping[str, str],
        encoding: str | None,
        on_broken: OnBroken,
        max_line_bytes: int,
    ) -> None:
        self.file = rows.name if isinstance(rows, DataFile) else None
        self._rows = rows
        self._recognised: Format | None = format
        self._to: Format | None = to
        self._system = system
        self._rename = dict(rename)
        self._encoding = encoding
        self._on_broken: OnBroken = on_broken
        self._max_line_bytes = max_line_bytes

    @classmethod
    def open(
        cls,
        source: Source,
        *,
        kind: FileType | None = None,
        format: Format | None = None,
        to: Format | None = None,
        system: str | None = None,
        rename: Mapping[str, str] | None = None,
        encoding: str | None = None,
        on_broken: OnBroken = "raise",
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> "Dataset":
        """Name a dataset; it is read later, as often as needed.

        Args:
            source: A path, a file object (binary or text), or rows; an iterator or a pipe, which
                can be read only once, is copied to a temporary file.
            kind: The kind of file; without it, what the name's extension says.
            format: The rows' format; without it, it is recognised from the first rows.
            to: The format to convert them to: `chat` from `completions`, and back.
            system: The system message that conversations begin with after a conversion to `chat`.
            rename: Columns to rename: old name to new name.
            encoding: The text's encoding; without it, what its byte-order mark says, or UTF-8.
            on_broken: Whether to stop at a line that cannot be read, or to leave it out and say so
                in a finding.
            max_line_bytes: Lines longer than this are broken.

        Raises:
            DatasetError: The kind of file is unknown.

        Example:
            ```python
            dataset = Dataset.open([{"prompt": "Space is", "completion": " a form of intuition."}])
            ```
        """
        rows: DataFile | Iterable[Any]
        if isinstance(source, str | PathLike):
            rows = DataFile(source, kind)
        elif hasattr(source, "read"):
            rows = DataFile(cast("IO[bytes]", source), kind)
        else:
            rows = source
        return cls(
            rows,
            format=format,
            to=to,
            system=system,
            rename=rename or {},
            encoding=encoding,
            on_broken=on_broken,
            max_line_bytes=max_line_bytes,
        )

    def chunks(self, log: ReadIssues | None = None) -> Generator[Chunk, None, None]:
        """Read the rows from the first, in lists, shaped and converted; blocks.

        Raises:
            DatasetError: The file cannot be read or used.
        """
        log = log or self.new_read_log()
        log.conversions += self._conversions()
        pieces = chunks(self._renamed(self._read(log)))
        first = next(pieces, None)
        if first is None:
            raise DatasetError(
                "There is no example in it.",
                file=self.file,
                remedy="A header or empty lines are all there is: add examples.",
            )
        read_as = self._recognised or detect_format(first, self.file)
        self._recognised = read_as
        change = normalizer_for(read_as, log)
        convert = None
        if self._to and self._to != read_as:
            log.conversions.append(f"{read_as} to {self._to}")
            try:
                convert = converter_for(read_as, self._to, self._system, log)
            except ValueError as error:
                raise DatasetError(str(error), file=self.file) from None
        for chunk in chain([first], pieces):
            changed = change(chunk)
            yield convert(changed) if convert else changed

    def format(self) -> Format:
        """The rows' format, after conversion; reads the first rows if need be."""
        if self._to is None and self._recognised is None:
            with closing(self.chunks()) as pieces:
                next(pieces)
        return self._to or cast("Format", self._recognised)

    def new_read_log(self) -> ReadIssues:
        """A log to read with."""
        return ReadIssues(self.file, self._on_broken, self._max_line_bytes)

    async def rows(self) -> AsyncIterator[Row]:
        """The rows, one by one; they are read in a thread."""
        pieces = self.chunks()
        while chunk := await anyio.to_thread.run_sync(next, pieces, None):
            for row in chunk:
                yield row

    async def diagnose(
        self, *, validation: "Dataset | None" = None, checks: Sequence[Check] = ()
    ) -> Diagnosis:
        """Find what is wrong, in a thread, so that the event loop goes on.

        Args:
            validation: The validation data: its rows should not be among these.
            checks: Further checks of your own.

        Raises:
            DatasetError: The file cannot be read or used.

        Example:
            ```python
            diagnosis = await Dataset.open("kant.csv").diagnose()
            ```
        """
        return await run_in_thread(
            lambda checkpoint: diagnose(
                self, validation=validation, checks=checks, checkpoint=checkpoint
            )
        )

    def _read(self, log: ReadIssues) -> Iterator[Row]:
        if not isinstance(self._rows, DataFile) and iter(self._rows) is self._rows:
            self._rows = _spool(self._rows)
        if isinstance(self._rows, DataFile):
            return read(self._rows, log, self._encoding)
        return (
            Row(position, _copy_row(data, position)) for position, data in enumerate(self._rows, 1)
        )

    def _conversions(self) -> list[str]:
        if not isinstance(self._rows, DataFile):
            return ["rows to JSON lines"]
        if self._rows.name.lower().endswith((".jsonl", ".ndjson")):
            return []
        return [f"{self._rows.kind} to JSON lines"]

    def _renamed(self, rows: Iterator[Row]) -> Iterator[Row]:
        if not self._rename:
            return rows
        names = self._rename
        return (
            Row(line, {names.get(key, key): value for key, value in data.items()})
            for line, data in rows
        )


def _spool(rows: Iterable[Mapping[str, Any]]) -> DataFile:
    """Copy rows that can be read only once to a temporary file."""
    copy = TemporaryFile(prefix="tunesmith-")  # noqa: SIM115 — closed with the file object
    file = DataFile(copy, kind="jsonl", name="<rows>")
    weakref.finalize(file, copy.close)
    for position, data in enumerate(rows, 1):
        copy.write(_serialised(data, position) + b"\n")
    copy.seek(0)
    return file


def _is_mapping(data: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(data, Mapping)


def _copy_row(data: Mapping[str, Any], position: int) -> dict[str, Any]:
    """A copy that repairs may change."""
    copied: Any = from_json(_serialised(data, position))
    return cast("dict[str, Any]", copied)


def _serialised(data: object, position: int) -> bytes:
    if not _is_mapping(data):
        raise DatasetError(
            f"This row is no mapping of fields, but {type(data).__name__}.",
            line=position,
            remedy="Give rows such as {'prompt': …, 'completion': …}.",
        )
    try:
        return to_json(dict(data), inf_nan_mode="null")
    except (PydanticSerializationError, ValueError) as error:
        raise DatasetError(
            f"This row is no JSON: {error}.",
            line=position,
            remedy="Use texts, numbers, lists and dictionaries only.",
        ) from error
