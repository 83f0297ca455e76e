"""Writing: JSON lines, beside their final place and then renamed, never over another file."""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Literal

from pydantic_core import to_json

from tunesmith.datasets.checks.affixes import AffixStats
from tunesmith.datasets.rows import Chunk, ChunkSource, Row, columns
from tunesmith.datasets.split import default_validation_rows, split_chunks, validation_rows
from tunesmith.datasets.threads import CancellationCheck, no_checkpoint
from tunesmith.errors import DatasetError

if TYPE_CHECKING:
    from tunesmith.datasets.plan import Plan

__all__ = ["WriteResult", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What was written.

    Attributes:
        files: The training file, and the validation file if there was a split; empty if nothing
            had to be changed, so that the source can be used as it is.
        rows: How many rows each has.
        separator: What all prompts end with: prompts to the model are to end with it, too.
        ending: What all completions end with: give it as `stop`.
        labels: How often each completion comes, if they are labels.
    """

    files: tuple[Path, ...]
    rows: tuple[int, ...]
    separator: str = ""
    ending: str = ""
    labels: dict[str, int] | None = None


def write(
    plan: "Plan",
    output: str | PathLike[str] | None = None,
    *,
    split: float | Literal["auto"] | None = None,
    seed: int = 42,
    check_cancelled: CancellationCheck = no_checkpoint,
) -> WriteResult:
    """Carry out a plan; blocks.

    Files appear when they are whole. One that is there already is kept: the new name gets a number,
    as in `kant_prepared (1).jsonl`.

    Args:
        plan: The plan.
        output: The file to write; without it, `NAME_prepared.jsonl` beside the source. With a
            split, `_train` and `_valid` are put at the end of the name.
        split: The share of rows for validation, such as 0.1; `auto` takes a fifth (at most a
            thousand) of a classification, with the same share of each label, and none else.
        seed: The same seed parts rows in the same way.
        check_cancelled: Called between chunks; may raise to stop, and nothing is written then.

    Returns:
        The files' names and what to know about them. No file if nothing had to be changed.

    Raises:
        DatasetError: The plan is for data nothing can be made of, or the file cannot be written.

    Example:
        ```python
        written = write(diagnose(Dataset.open("kant.csv")).plan())
        ```
    """
    plan.raise_if_fatal()
    classes = plan.task == "classification"
    if split == "auto" and not classes:
        split = None

    def source() -> Iterator[Chunk]:
        for chunk in plan.source():
            check_cancelled()
            yield chunk

    repaired = replace(plan, source=source).transformed_chunks()
    stratum: Callable[[Row], str] = _completion if classes else _single_stratum
    outcome = _WriteStats(completions=plan.format == "completions", classes=classes)
    if split is None:
        if not plan.has_changes and output is None:
            for chunk in repaired():
                outcome.see(chunk)
            return outcome.written(())
        parts: Iterable[tuple[Chunk, ...]] = ((chunk,) for chunk in repaired())
        endings = [""]
    else:
        sizes = _sizes(repaired, stratum)
        rows = sum(sizes.values())
        taken = default_validation_rows(rows) if split == "auto" else validation_rows(rows, split)
        parts = split_chunks(repaired(), stratum, sizes, taken, seed)
        endings = ["_train", "_valid"]
    stem, extension = _output_path(plan.file, output)
    with _atomic_files(stem, extension, endings) as (streams, publish):
        for part in parts:
            outcome.see(*part)
            for stream, chunk in zip(streams, part, strict=True):
                stream.writelines(to_json(data, inf_nan_mode="null") + b"\n" for _, data in chunk)
        if not outcome.rows[0]:
            raise DatasetError(
                "No row is left to write.", file=plan.file, remedy="Decline some remedies."
            )
        return outcome.written(publish())


class _WriteStats:
    """What is seen of the rows while they are written."""

    def __init__(self, *, completions: bool, classes: bool) -> None:
        self._completions = completions
        self._classes = classes
        self._ends = {"prompt": AffixStats(()), "completion": AffixStats(())}
        self._labels: Counter[str] = Counter()
        self.rows: Counter[int] = Counter()

    def see(self, *parts: Chunk) -> None:
        for index, chunk in enumerate(parts):
            self.rows[index] += len(chunk)
            if self._completions:
                for affixes, texts in zip(self._ends.values(), columns(chunk), strict=True):
                    affixes.see(texts, "")
            if self._classes:
                self._labels.update(map(_completion, chunk))

    def written(self, files: tuple[Path, ...]) -> WriteResult:
        return WriteResult(
            files=files,
            rows=tuple(self.rows[index] for index in range(max(len(files), 1))),
            separator=self._ends["prompt"].suffix,
            ending=self._ends["completion"].suffix,
            labels=dict(self._labels.most_common()) if self._classes else None,
        )


def _completion(row: Row) -> str:
    completion: str = row.data["completion"]
    return completion


def _single_stratum(_: Row) -> str:
    return ""


def _sizes(rows: ChunkSource, stratum: Callable[[Row], str]) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for chunk in rows():
        sizes.update(map(stratum, chunk))
    return sizes


def _output_path(file: str | None, output: str | PathLike[str] | None) -> tuple[Path, str]:
    """The path without its extension, and the extension."""
    if output is not None:
        path = Path(output)
        return path.with_suffix(""), path.suffix or ".jsonl"
    if file is None or file.startswith("<"):
        raise DatasetError(
            "The rows come from no named file.", remedy="Name the file to write: output='….jsonl'."
        )
    path = Path(file)
    if path.suffix.lower() in {".gz", ".zst"}:
        path = path.with_suffix("")
    return path.with_name(f"{path.stem}_prepared"), ".jsonl"


@contextmanager
def _atomic_files(
    stem: Path, extension: str, endings: list[str]
) -> Generator[tuple[list[IO[bytes]], Callable[[], tuple[Path, ...]]], None, None]:
    """Open files beside their final place, which is given to them together or not at all."""
    with ExitStack() as stack:
        try:
            streams: list[IO[bytes]] = []
            for _ in endings:
                part = stem.with_name(f".{stem.name}.{token_hex(8)}.part")
                stack.callback(part.unlink, missing_ok=True)
                streams.append(stack.enter_context(part.open("xb")))

            def publish() -> tuple[Path, ...]:
                for stream in streams:
                    stream.close()
                return _rename_all([Path(s.name) for s in streams], stem, extension, endings)

            yield streams, publish
        except OSError as error:
            raise DatasetError(
                f"The result cannot be written: {error.strerror or error}.",
                file=str(stem.with_name(stem.name + extension)),
                remedy="Name another place: output='….jsonl'.",
            ) from error


def _rename_all(
    parts: list[Path], stem: Path, extension: str, endings: list[str]
) -> tuple[Path, ...]:
    number = 0
    while True:
        numbered = f" ({number})" if number else ""
        names = [stem.with_name(stem.name + e + numbered + extension) for e in endings]
        if not any(name.exists() for name in names):
            given: list[Path] = []
            try:
                for part, name in zip(parts, names, strict=True):
                    _rename(part, name)
                    given.append(name)
            except FileExistsError:
                # Somebody else took the name in this moment: let them have it.
                for part, name in zip(parts, given, strict=False):
                    name.rename(part)
            else:
                return tuple(names)
        number += 1


def _rename(part: Path, name: Path) -> None:
    """Rename, but never over another file."""
    try:
        os.link(part, name)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        part.rename(name)
    else:
        part.unlink()
