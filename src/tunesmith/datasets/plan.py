"""Plan for a dataset: the fixes to apply, and the rows as they will be then."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Literal

import anyio.from_thread
import anyio.to_thread

from tunesmith.datasets.file_findings import count_findings, size_findings
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.rows import (
    CancellationCheck,
    Chunk,
    ChunkSource,
    Row,
    cancellable,
    never_cancelled,
)
from tunesmith.datasets.split import (
    Stratum,
    default_validation_rows,
    split_chunks,
    validation_rows,
)
from tunesmith.datasets.transforms import RowTransform
from tunesmith.datasets.writer import WriteResult, WriteStats, output_path, write_files
from tunesmith.errors import DatasetError
from tunesmith.training_rules import MIN_EXAMPLES, Format

__all__ = ["Plan", "write"]

_COUNTED_AGAIN = {"too-few-examples", "few-examples", "too-large-file"}
"""Findings that depend on the rows written rather than on those read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Decisions about a dataset: made by `Diagnosis.plan`, carried out by `write`.

    Attributes:
        source: The rows as they were read, in chunks.
        file: The file they come from; None for rows given as objects.
        format: The format of the rows.
        task: The task of a prompt/completion table; None for other formats.
        accepted: The findings whose fixes will be applied, in order.
        declined: The findings whose fixes will not be applied.
        unfixable: The findings without a fix.
    """

    source: ChunkSource
    file: str | None
    format: Format
    task: str | None
    accepted: tuple[Finding, ...]
    declined: tuple[Finding, ...]
    unfixable: tuple[Finding, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether the rows to write differ from those read."""
        return bool(self.accepted)

    @property
    def fatal(self) -> tuple[Finding, ...]:
        """The findings for which nothing can be written."""
        return tuple(f for f in self.unfixable if f.severity == "fatal")

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that remain and for which the service would refuse the file."""
        return tuple(f for f in (*self.declined, *self.unfixable) if f.severity == "error")

    def status_of(self, finding: Finding) -> str:
        """Return `required`, `accepted` or `declined`; empty for a finding without a fix."""
        if finding.fix is None:
            return ""
        if finding in self.declined:
            return "declined"
        return "required" if finding.fix.required else "accepted"

    def transformed_chunks(self) -> ChunkSource:
        """Return a source of the fixed rows; blocks.

        The rows are read once beforehand if duplicates are to be removed.
        """
        source = self.source
        fixes = [finding.fix for finding in self.accepted if finding.fix]
        transforms = [fix.transform for fix in fixes if fix.transform]
        for transform in sorted(transforms, key=lambda transform: transform.stage):
            source = _apply(source, transform)
        return source

    def __str__(self) -> str:
        if self.fatal:
            return "\n".join(["Nothing can be written:", *(f"- {f}" for f in self.fatal)])
        fixes = [
            f"- [{self.status_of(finding)}] {finding.fix.description}"
            for finding in (*self.accepted, *self.declined)
            if finding.fix
        ]
        return "\n".join(["Changes:", *fixes]) if fixes else "No changes are needed."

    def raise_if_fatal(self) -> None:
        """Raise a DatasetError for the first finding that makes the dataset useless."""
        for finding in self.fatal:
            raise DatasetError(
                finding.message, file=finding.file, line=finding.line, field=finding.field
            )

    async def write(
        self,
        output: str | PathLike[str] | None = None,
        *,
        split: float | Literal["auto"] | None = None,
        seed: int = 42,
    ) -> WriteResult:
        """Write the fixed rows in a thread; see `tunesmith.datasets.write`.

        Example:
            ```python
            written = await plan.write(split=0.1)
            print(*written.files)
            ```
        """
        check = anyio.from_thread.check_cancelled
        return await anyio.to_thread.run_sync(
            partial(write, self, output, split=split, seed=seed, check_cancelled=check)
        )


def write(
    plan: Plan,
    output: str | PathLike[str] | None = None,
    *,
    split: float | Literal["auto"] | None = None,
    seed: int = 42,
    check_cancelled: CancellationCheck = never_cancelled,
) -> WriteResult:
    """Write the fixed rows as JSON lines; blocks.

    Files appear when they are complete. An existing file is kept: the new name gets a number, as in
    `kant_prepared (1).jsonl`.

    Args:
        plan: The plan.
        output: The file to write; without it, `NAME_prepared.jsonl` beside the source. With a
            split, `_train` and `_valid` are added to the name.
        split: The share of rows for validation, such as 0.1; `auto` takes a fifth (at most a
            thousand) of a classification, evenly over labels, if ten examples remain for training.
        seed: The same seed selects the same rows for validation.
        check_cancelled: Called between chunks; may raise to stop, and then nothing is written.

    Returns:
        The names of the files and facts about them. No file if nothing had to be changed.

    Raises:
        DatasetError: The plan has fatal findings, or the file cannot be written.

    Example:
        ```python
        written = write(diagnose(Dataset.open("kant.csv")).plan())
        ```
    """
    plan.raise_if_fatal()
    is_classification = plan.task == "classification"
    if split == "auto" and not is_classification:
        split = None
    rows = replace(plan, source=cancellable(plan.source, check_cancelled)).transformed_chunks()
    stats = WriteStats(
        completions=plan.format == "completions", is_classification=is_classification
    )
    stratum = _completion if is_classification else _single_stratum
    sizes = Counter[str]() if split is None else _sizes(rows, stratum)
    total = sum(sizes.values())
    if split == "auto" and total - default_validation_rows(total) < MIN_EXAMPLES:
        split = None
    if split is None and not plan.has_changes and output is None:
        for chunk in rows():
            stats.update(chunk)
        return _with_errors(stats.result(()), plan)
    parts: Iterable[tuple[Chunk, ...]] = ((chunk,) for chunk in rows())
    endings = [""]
    if split is not None:
        size = default_validation_rows(total) if split == "auto" else validation_rows(total, split)
        parts = split_chunks(rows(), stratum, sizes, size, seed)
        endings = ["_train", "_valid"]
    files = write_files(parts, stats, *output_path(plan.file, output), endings)
    if not stats.rows[0]:
        reasons = [f.message for f in plan.accepted if f.fix and f.fix.description[:6] == "Remove"]
        raise DatasetError(
            " ".join(["No row is left to write.", *reasons]),
            file=plan.file,
            remedy="Correct the rows, or decline some fixes.",
        )
    return _with_errors(stats.result(files), plan)


def _with_errors(result: WriteResult, plan: Plan) -> WriteResult:
    """Add the errors for which the service would refuse the training file."""
    file = str(result.files[0]) if result.files else plan.file
    size = result.files[0].stat().st_size if result.files else 0
    checks = (*count_findings(result.rows[0], file), *size_findings(size, file))
    errors = [error for error in plan.errors if error.code not in _COUNTED_AGAIN]
    errors += [finding for finding in checks if finding.severity in {"error", "fatal"}]
    return replace(result, errors=tuple(errors))


def _sizes(rows: ChunkSource, stratum: Stratum) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for chunk in rows():
        sizes.update(map(stratum, chunk))
    return sizes


def _completion(row: Row) -> str:
    completion: str = row.data["completion"]
    return completion


def _single_stratum(_: Row) -> str:
    return ""


def _apply(source: ChunkSource, transform: RowTransform) -> ChunkSource:
    start = transform.fit(source)

    def run() -> Iterator[Chunk]:
        apply = start()
        for chunk in source():
            if changed := apply(chunk):
                yield changed

    return run
