"""Writing JSON lines: complete or not at all, and never over another file."""

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO

from pydantic_core import to_json

from tunesmith._atomic import rename_exclusive, temporary_path
from tunesmith.datasets.checks.affixes import AffixStats
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.rows import Chunk, columns
from tunesmith.errors import DatasetError

__all__ = ["WriteResult", "WriteStats", "output_path", "write_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """Files written by a plan.

    Attributes:
        files: The training file, and the validation file after a split; empty if nothing had to be
            changed, so that the source can be used as it is.
        rows: The number of rows in each.
        separator: The common ending of all prompts; end prompts to the model with it, too.
        ending: The common ending of all completions; pass it as `stop`.
        labels: The number of rows with each completion, if they are labels.
        errors: The findings for which the service would refuse the training file.
    """

    files: tuple[Path, ...]
    rows: tuple[int, ...]
    separator: str = ""
    ending: str = ""
    labels: dict[str, int] | None = None
    errors: tuple[Finding, ...] = ()


class WriteStats:
    """Counter of rows, common endings and labels while rows are written."""

    def __init__(self, *, completions: bool, is_classification: bool) -> None:
        self.rows: Counter[int] = Counter()
        self._affixes = (
            {"prompt": AffixStats(()), "completion": AffixStats(())} if completions else {}
        )
        self._labels: Counter[str] | None = Counter() if is_classification else None

    def update(self, *parts: Chunk) -> None:
        """Count the rows of each file."""
        for index, chunk in enumerate(parts):
            self.rows[index] += len(chunk)
            if self._affixes:
                for affixes, texts in zip(self._affixes.values(), columns(chunk), strict=True):
                    affixes.update(texts, "")
            if self._labels is not None:
                self._labels.update(data["completion"] for _, data in chunk)

    def result(self, files: tuple[Path, ...]) -> WriteResult:
        """Return the result for the files written."""
        suffixes = {field: affixes.suffix for field, affixes in self._affixes.items()}
        return WriteResult(
            files=files,
            rows=tuple(self.rows[index] for index in range(max(len(files), 1))),
            separator=suffixes.get("prompt", ""),
            ending=suffixes.get("completion", ""),
            labels=None if self._labels is None else dict(self._labels.most_common()),
        )


def output_path(file: str | None, output: str | PathLike[str] | None) -> tuple[Path, str]:
    """Return the path to write without its extension, and the extension.

    Raises:
        DatasetError: The rows come from no named file, and no output is given.
    """
    if output is not None:
        path = Path(output)
        return path.with_suffix(""), path.suffix or ".jsonl"
    if file is None or file.startswith("<"):
        raise DatasetError(
            "The rows do not come from a named file.",
            remedy="Name the file to write: output='….jsonl'.",
        )
    path = Path(file)
    if path.suffix.lower() in {".gz", ".zst"}:
        path = path.with_suffix("")
    return path.with_name(f"{path.stem}_prepared"), ".jsonl"


def write_files(
    parts: Iterable[tuple[Chunk, ...]],
    stats: WriteStats,
    stem: Path,
    extension: str,
    endings: list[str],
) -> tuple[Path, ...]:
    """Write rows to one file for each ending; all files appear together or not at all.

    Nothing appears without a row for the first file.

    Raises:
        DatasetError: A file cannot be written.
    """
    try:
        with ExitStack() as stack:
            streams: list[IO[bytes]] = []
            for _ in endings:
                part = temporary_path(stem)
                stack.callback(part.unlink, missing_ok=True)
                streams.append(stack.enter_context(part.open("xb")))
            for chunks in parts:
                stats.update(*chunks)
                for stream, chunk in zip(streams, chunks, strict=True):
                    stream.writelines(
                        to_json(data, inf_nan_mode="null") + b"\n" for _, data in chunk
                    )
            for stream in streams:
                stream.close()
            if not stats.rows[0]:
                return ()
            return _rename_all([Path(s.name) for s in streams], stem, extension, endings)
    except OSError as error:
        raise DatasetError(
            f"The result cannot be written: {error.strerror or error}.",
            file=str(stem.with_name(stem.name + extension)),
            remedy="Choose another output: output='….jsonl'.",
        ) from error


def _rename_all(
    parts: list[Path], stem: Path, extension: str, endings: list[str]
) -> tuple[Path, ...]:
    number = 0
    while True:
        numbered = f" ({number})" if number else ""
        names = [stem.with_name(stem.name + e + numbered + extension) for e in endings]
        if not any(name.exists() for name in names):
            renamed: list[Path] = []
            try:
                for part, name in zip(parts, names, strict=True):
                    rename_exclusive(part, name)
                    renamed.append(name)
            except FileExistsError:
                # Another process took the name in the meantime; it keeps it.
                for part, name in zip(parts, renamed, strict=False):
                    name.rename(part)
            else:
                return tuple(names)
        number += 1
