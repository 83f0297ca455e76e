"""The plan: which findings will be remedied, and the rows as they will be then."""

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Literal

from tunesmith.datasets.findings import Finding
from tunesmith.datasets.rows import Chunk, ChunkSource, Format
from tunesmith.datasets.threads import run_in_thread
from tunesmith.datasets.transforms import RowTransform
from tunesmith.datasets.write import WriteResult, write
from tunesmith.errors import DatasetError

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done to a dataset: made by `Diagnosis.plan`, carried out by `write`.

    Attributes:
        source: The rows as they were read, in chunks.
        file: The file they come from; None for rows given as objects.
        format: The rows' format.
        task: What a prompt/completion table is for; None for other formats.
        accepted: The findings whose remedies will be applied, in order.
        declined: The findings whose remedies will not be.
        fatal: The findings for which nothing can be written.
    """

    source: ChunkSource
    file: str | None
    format: Format
    task: str | None
    accepted: tuple[Finding, ...]
    declined: tuple[Finding, ...]
    fatal: tuple[Finding, ...]

    @property
    def has_changes(self) -> bool:
        """Whether what would be written differs from what was read."""
        return bool(self.accepted)

    def transformed_chunks(self) -> ChunkSource:
        """What reads the rows repaired, in chunks, as often as it is called.

        The rows are read once beforehand if repeated ones are to be found. Blocks.
        """
        source = self.source
        remedies = [found.remedy for found in self.accepted if found.remedy]
        repairs = [remedy.transform for remedy in remedies if remedy.transform]
        for repair in sorted(repairs, key=lambda repair: repair.stage):
            source = _apply(source, repair)
        return source

    def __str__(self) -> str:
        if self.fatal:
            return "\n".join(["Nothing can be written:", *(f"- {found}" for found in self.fatal)])
        if not self.accepted and not self.declined:
            return "Nothing needs to be done."
        lines = [
            f"- [{'necessary' if remedy.required else 'accepted'}] {remedy.description}"
            for remedy in (found.remedy for found in self.accepted)
            if remedy
        ]
        lines += [
            f"- [declined] {found.remedy.description}" for found in self.declined if found.remedy
        ]
        return "\n".join(["What will be done:", *lines])

    def raise_if_fatal(self) -> None:
        """Raise a DatasetError for the first finding that makes the dataset useless."""
        for found in self.fatal:
            raise DatasetError(found.message, file=found.file, line=found.line, field=found.field)

    async def write(
        self,
        output: str | PathLike[str] | None = None,
        *,
        split: float | Literal["auto"] | None = None,
        seed: int = 42,
    ) -> "WriteResult":
        """Carry out the plan, in a thread, so that the event loop goes on.

        See `tunesmith.datasets.write`, which blocks.

        Example:
            ```python
            written = await plan.write(split=0.1)
            print(*written.files)
            ```
        """
        return await run_in_thread(
            lambda checkpoint: write(
                self, output, split=split, seed=seed, check_cancelled=checkpoint
            )
        )


def _apply(source: ChunkSource, repair: RowTransform) -> ChunkSource:
    start = repair.fit(source)

    def run() -> Iterator[Chunk]:
        change = start()
        for chunk in source():
            if changed := change(chunk):
                yield changed

    return run
