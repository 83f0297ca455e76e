"""The plan: which findings will be remedied, and the rows as they will be then."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tunesmith.datasets.findings import Finding
from tunesmith.datasets.repairs import Pass
from tunesmith.datasets.rows import Chunk, ChunkSource, Format
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
    def changes(self) -> bool:
        """Whether what will be written differs from what was read."""
        return bool(self.accepted)

    def chunks(self) -> Iterator[Chunk]:
        """The rows, repaired, in chunks, in one pass (and one before it to find what repeats)."""
        return self._repaired()()

    def __str__(self) -> str:
        if self.fatal:
            return "\n".join(["Nothing can be written:", *(f"- {found}" for found in self.fatal)])
        if not self.accepted and not self.declined:
            return "Nothing needs to be done."
        lines = [
            f"- [{'necessary' if remedy.necessary else 'accepted'}] {remedy.description}"
            for remedy in (found.remedy for found in self.accepted)
            if remedy
        ]
        lines += [
            f"- [declined] {found.remedy.description}" for found in self.declined if found.remedy
        ]
        return "\n".join(["What will be done:", *lines])

    def refuse_fatal(self) -> None:
        """Raise a DatasetError for the first finding that makes the dataset useless."""
        for found in self.fatal:
            raise DatasetError(found.message, file=found.file, line=found.line, field=found.field)

    def _repaired(self) -> ChunkSource:
        source = self.source
        repairs = [found.remedy.repair for found in self.accepted if found.remedy]
        for repair in sorted((r for r in repairs if r is not None), key=lambda r: r.stage):
            source = _through(source, repair.start)
        return source


def _through(source: ChunkSource, start: Callable[[ChunkSource], Pass]) -> ChunkSource:
    def run() -> Iterator[Chunk]:
        change = start(source)
        for chunk in source():
            if changed := change(chunk):
                yield changed

    return run
