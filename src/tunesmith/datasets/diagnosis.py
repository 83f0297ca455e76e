"""A diagnosis: all findings about a dataset, from which a plan is made."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from tunesmith.datasets.findings import Finding, FixDecision
from tunesmith.datasets.plan import Plan
from tunesmith.datasets.rows import Chunk, ChunkSource, Format

__all__ = ["Check", "Diagnosis", "Task"]

Task = Literal["open-ended generation", "classification", "conditional generation"]
"""What a prompt/completion table teaches."""


class Check(Protocol):
    """Looks at every row once and says what it found; write your own and give it to `diagnose`."""

    def update(self, chunk: Chunk, /) -> None:
        """Look at some rows, without changing them."""
        ...

    def findings(self, rows: ChunkSource, /) -> Iterator[Finding]:
        """What was found; `rows` reads the rows once more, if they are needed again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings about a dataset.

    Attributes:
        source: The rows as they were read, in chunks.
        file: The file they come from; None for rows given as objects.
        format: The rows' format, after conversion if one was asked for.
        task: What a prompt/completion table is for; None for other formats.
        rows: How many rows there are.
        findings: What was found, in the order in which remedies are asked about.
    """

    source: ChunkSource
    file: str | None
    format: Format
    task: Task | None
    rows: int
    findings: tuple[Finding, ...]

    def plan(self, decide: FixDecision | None = None) -> Plan:
        """Decide about each remedy.

        Args:
            decide: Called with each finding that has an optional remedy; its answer says whether to
                apply it. Without it, all are applied.

        Returns:
            What will be done. Nothing is changed yet.

        Example:
            ```python
            plan = diagnosis.plan(lambda finding: finding.code != "upper-case")
            ```
        """
        remediable = [found for found in self.findings if found.remedy]
        accepted = [
            found
            for found in remediable
            if (found.remedy and found.remedy.required) or decide is None or decide(found)
        ]
        return Plan(
            source=self.source,
            file=self.file,
            format=self.format,
            task=self.task,
            accepted=tuple(accepted),
            declined=tuple(found for found in remediable if found not in accepted),
            fatal=tuple(found for found in self.findings if found.severity == "fatal"),
        )
