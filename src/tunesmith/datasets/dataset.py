"""Dataset: rows to train on, from a file or from memory."""

import weakref
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from os import PathLike
from tempfile import TemporaryFile
from typing import IO, Any, TypeGuard, cast

import anyio.from_thread
import anyio.to_thread
from pydantic_core import PydanticSerializationError, from_json, to_json

from tunesmith._extras import import_extra
from tunesmith.datasets.checks.run import run_checks
from tunesmith.datasets.columns import format_columns
from tunesmith.datasets.containers import unwrap_rows
from tunesmith.datasets.diagnosis import Check, Diagnosis
from tunesmith.datasets.formats import (
    SOURCE_FORMATS,
    SourceFormat,
    detect_format,
)
from tunesmith.datasets.normalize import converter_for, normalizer_for
from tunesmith.datasets.read import MAX_LINE_BYTES, DataFile, OnBroken, ReadIssues, read
from tunesmith.datasets.read.files import FileType
from tunesmith.datasets.read.sniff import sniff_kind
from tunesmith.datasets.rows import (
    CancellationCheck,
    Chunk,
    Row,
    cancellable,
    chunks,
    never_cancelled,
)
from tunesmith.errors import DatasetError
from tunesmith.training_rules import Format

__all__ = ["Dataset", "Source", "diagnose"]

Source = str | PathLike[str] | IO[bytes] | IO[str] | Iterable[Mapping[str, Any]]
"""Source of rows: a path, a file object, or the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """Options of `Dataset.open`."""

    kind: FileType | None
    format: str | None
    target_format: Format | None
    system: str | None
    rename: Mapping[str, str]
    encoding: str | None
    on_broken: OnBroken
    max_line_bytes: int


class Dataset:
    """Rows to train on. Made by `Dataset.open`.

    Attributes:
        file: The name of the file in messages; None for rows given as objects.
    """

    def __init__(self, rows: DataFile | Iterable[Mapping[str, Any]], options: _Options) -> None:
        self.file = rows.name if isinstance(rows, DataFile) else None
        self._rows = rows
        self._options = options
        self._source = SOURCE_FORMATS[options.format] if options.format else None

    def __repr__(self) -> str:
        return f"Dataset({self.file or 'rows'!r})"

    @classmethod
    def open(
        cls,
        source: Source,
        *,
        kind: FileType | None = None,
        format: str | None = None,
        target_format: Format | None = None,
        system: str | None = None,
        rename: Mapping[str, str] | None = None,
        encoding: str | None = None,
        on_broken: OnBroken = "raise",
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> "Dataset":
        """Open a dataset; it is read later, as often as needed.

        Args:
            source: A path, a file object (binary or text), or rows. An iterator or a pipe, which
                can be read only once, is copied to a temporary file.
            kind: The type of the file; without it, that of its content or of its extension.
            format: The format of the file, one of `SOURCE_FORMATS`; without it, it is recognised
                from the first rows.
            target_format: The format to convert the rows to: `chat` from `completions`, and back.
            system: The system message of conversations after a conversion to `chat`.
            rename: Columns to rename: old name to new name.
            encoding: The text's encoding; without it, that of the byte-order mark, or UTF-8.
            on_broken: Whether to stop at a line that cannot be read, or to leave it out and report
                it in a finding.
            max_line_bytes: Longer lines are broken.

        Raises:
            DatasetError: The type of the file or the format is unknown.

        Example:
            ```python
            dataset = Dataset.open([{"prompt": "Space is", "completion": " a form of intuition."}])
            ```
        """
        if format is not None and format not in SOURCE_FORMATS:
            raise DatasetError(
                f"The format {format!r} does not exist.",
                remedy=f"Use one of {', '.join(SOURCE_FORMATS)}.",
            )
        rows: DataFile | Iterable[Any]
        if isinstance(source, str | PathLike):
            rows = DataFile(source, kind)
        elif hasattr(source, "read"):
            rows = DataFile(cast("IO[bytes]", source), kind)
        else:
            rows = source
        options = _Options(
            kind=kind,
            format=format,
            target_format=target_format,
            system=system,
            rename=rename or {},
            encoding=encoding,
            on_broken=on_broken,
            max_line_bytes=max_line_bytes,
        )
        return cls(rows, options)

    @property
    def source_format(self) -> str:
        """The format of the file, such as `alpaca`; reads the first rows if need be."""
        if self._source is None:
            with closing(self.chunks()) as pieces:
                next(pieces)
        return cast("SourceFormat", self._source).name

    def format(self) -> Format:
        """Return the format of the rows after conversion; reads the first rows if need be."""
        return self._options.target_format or SOURCE_FORMATS[self.source_format].format

    def chunks(self, issues: ReadIssues | None = None) -> Generator[Chunk, None, None]:
        """Read the rows from the first, in chunks, converted; blocks.

        Raises:
            DatasetError: The file cannot be read or used.
        """
        issues = issues or self.new_issues()
        pieces = chunks(self._read(issues), lambda: issues.characters)
        first = next(pieces, None)
        if first is None:
            raise self._empty(issues)
        if names := self._options.rename:
            self._check_renames(first)
            first = _rename_columns(first, names)
            pieces = (_rename_columns(chunk, names) for chunk in pieces)
        source = self._source = self._source or detect_format(first, self.file)
        normalize = normalizer_for(source, first, issues)
        convert = None
        target = self._options.target_format
        if target and target != source.format:
            issues.conversions.append(f"{source.format} to {target}")
            try:
                convert = converter_for(source.format, target, self._options.system, issues)
            except ValueError as error:
                raise DatasetError(str(error), file=self.file) from None
        for chunk in chain([first], pieces):
            normalized = normalize(chunk)
            yield convert(normalized) if convert else normalized

    def new_issues(self) -> ReadIssues:
        """Return an empty collection of issues for a pass over the rows."""
        return ReadIssues(self.file, self._options.on_broken, self._options.max_line_bytes)

    async def rows(self) -> AsyncIterator[Row]:
        """Iterate over the rows; they are read in a thread."""
        pieces = self.chunks()
        while chunk := await anyio.to_thread.run_sync(next, pieces, None):
            for row in chunk:
                yield row

    def to_pandas(self) -> Any:
        """Return the rows as a data frame, indexed by line; reads all of them, and blocks.

        Raises:
            ConfigurationError: pandas is not installed.
            DatasetError: The file cannot be read or used.

        Example:
            ```python
            print(Dataset.open("kant.csv").to_pandas().head())
            ```
        """
        pandas = import_extra("pandas", "notebook", "Data frames")
        rows = [row for chunk in self.chunks() for row in chunk]
        index = pandas.Index([row.line for row in rows], name="line")
        return pandas.DataFrame([row.data for row in rows], index=index)

    async def diagnose(
        self, *, validation: "Dataset | None" = None, checks: Sequence[Check] = ()
    ) -> Diagnosis:
        """Find the problems of the dataset in a thread; see `tunesmith.datasets.diagnose`.

        Example:
            ```python
            diagnosis = await Dataset.open("kant.csv").diagnose()
            ```
        """
        check = anyio.from_thread.check_cancelled
        return await anyio.to_thread.run_sync(
            partial(diagnose, self, validation=validation, checks=checks, check_cancelled=check)
        )

    def _read(self, issues: ReadIssues) -> Iterator[Row]:
        if not isinstance(self._rows, DataFile) and iter(self._rows) is self._rows:
            self._rows = _spool(self._rows)
        issues.message_lists = True
        if not isinstance(self._rows, DataFile):
            issues.conversions.append("rows to JSON lines")
            return (
                Row(position, _copy_row(data, position))
                for position, data in enumerate(self._rows, 1)
            )
        kind = self._options.kind or sniff_kind(self._rows)
        name = self._rows.name.lower()
        if self._rows.has_hidden_compression:
            issues.conversions.append("compressed text to plain text")
        if kind != self._rows.kind:
            issues.conversions.append(f"{kind} in a {self._rows.kind} file to JSON lines")
        elif self._rows.path is None and name.startswith("<"):
            issues.conversions.append("rows to JSON lines")
        elif not name.endswith(".jsonl"):
            issues.conversions.append(f"{kind} to JSON lines")
        rows = read(self._rows, issues, self._options.encoding, kind)
        return unwrap_rows(rows, issues) if kind in {"json", "jsonl"} else rows

    def _check_renames(self, first: Chunk) -> None:
        """Raise for renames of absent columns and to names that are taken."""
        names = self._options.rename
        columns = {key for _, data in first for key in data}
        result = [names.get(column, column) for column in columns]
        for old, new in names.items():
            if old not in columns:
                problem = f", because it does not exist; there are {format_columns(first)}"
                remedy = "Check its name; case and spaces count."
            elif result.count(new) > 1:
                problem = f": there would be two columns `{new}`"
                remedy = f"Rename the other one, too: rename={{{new!r}: 'other'}}."
            else:
                continue
            raise DatasetError(
                f"The column `{old}` cannot be renamed{problem}.",
                file=self.file,
                field=old,
                remedy=remedy,
            )

    def _empty(self, issues: ReadIssues) -> DatasetError:
        if issues.broken.count:
            return DatasetError(
                f"None of the {issues.broken.count} lines can be read. The first: "
                f"{issues.first_broken}",
                file=self.file,
                line=issues.broken.lines[0],
            )
        return DatasetError(
            "The file has no example, only a header or empty lines.",
            file=self.file,
            remedy="Add examples.",
        )


def diagnose(
    dataset: Dataset,
    *,
    validation: Dataset | None = None,
    checks: Sequence[Check] = (),
    check_cancelled: CancellationCheck = never_cancelled,
) -> Diagnosis:
    """Find the problems of a dataset; blocks.

    The file is read once, and again only to find the lines concerned. Memory stays flat.

    Args:
        dataset: The dataset.
        validation: The validation data, whose rows should not be in `dataset`.
        checks: Further checks of your own.
        check_cancelled: Called between chunks; may raise to stop.

    Raises:
        DatasetError: The file cannot be read or used.

    Example:
        ```python
        diagnosis = diagnose(Dataset.open("kant.csv"))
        ```
    """
    issues = dataset.new_issues()
    row_format = dataset.format()
    try:
        findings, rows, task = run_checks(
            cancellable(lambda: dataset.chunks(issues), check_cancelled),
            cancellable(dataset.chunks, check_cancelled),
            issues,
            format=row_format,
            validation=validation.chunks if validation else None,
            checks=checks,
        )
    except MemoryError:
        raise DatasetError(
            "The rows need more memory than is available.",
            file=dataset.file,
            remedy="Remove or shorten the longest rows.",
        ) from None
    return Diagnosis(
        source=dataset.chunks,
        file=dataset.file,
        format=row_format,
        source_format=dataset.source_format,
        mapping=issues.mapping,
        task=task,
        rows=rows,
        findings=findings,
    )


def _rename_columns(chunk: Chunk, names: Mapping[str, str]) -> Chunk:
    return [
        Row(line, {names.get(key, key): value for key, value in data.items()})
        for line, data in chunk
    ]


def _spool(rows: Iterable[Mapping[str, Any]]) -> DataFile:
    """Copy rows that can be read only once to a temporary file."""
    copy = TemporaryFile(prefix="tunesmith-")  # noqa: SIM115 — closed with the file object
    file = DataFile(copy, kind="jsonl", name="<rows>")
    weakref.finalize(file, copy.close)
    for position, data in enumerate(rows, 1):
        copy.write(_serialize(data, position) + b"\n")
    copy.seek(0)
    return file


def _is_mapping(data: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(data, Mapping)


def _copy_row(data: Mapping[str, Any], position: int) -> dict[str, Any]:
    """Copy a row, because transforms may change it."""
    copied: Any = from_json(_serialize(data, position))
    return cast("dict[str, Any]", copied)


def _serialize(data: object, position: int) -> bytes:
    if not _is_mapping(data):
        raise DatasetError(
            f"A row must be a mapping of fields, not {type(data).__name__}.",
            line=position,
            remedy="Use rows such as {'prompt': …, 'completion': …}.",
        )
    try:
        return to_json(dict(data), inf_nan_mode="null")
    except (PydanticSerializationError, ValueError) as error:
        raise DatasetError(
            f"This row cannot be written as JSON: {error}.",
            line=position,
            remedy="Use texts, numbers, lists and dictionaries only.",
        ) from error
