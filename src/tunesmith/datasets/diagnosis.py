"""Result of all checks of a dataset, from which a plan is made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tunesmith._html import render_fragment, render_table, tag
from tunesmith.datasets.findings import Finding, FixDecision
from tunesmith.datasets.plan import Plan
from tunesmith.datasets.rows import Chunk, ChunkSource
from tunesmith.training_rules import Format

__all__ = ["Check", "Diagnosis", "Task"]

Task = Literal["open-ended generation", "classification", "conditional generation"]
"""Task that a prompt/completion table teaches."""


class Check(Protocol):
    """Check that sees every row once; write your own and pass it to `diagnose`."""

    def update(self, chunk: Chunk, /) -> None:
        """Inspect some rows without changing them."""
        ...

    def findings(self, rows: ChunkSource, /) -> Iterator[Finding]:
        """Yield the findings; `rows` reads the rows again if they are needed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings about a dataset.

    Attributes:
        source: The rows as they were read, in chunks.
        file: The file they come from; None for rows given as objects.
        format: The format of the rows after conversion.
        source_format: The format of the file, such as `alpaca`.
        mapping: The columns or keys of the file and the place of each in the converted rows.
        task: The task of a prompt/completion table; None for other formats.
        rows: The number of rows.
        findings: The findings, in the order in which their fixes are offered.
    """

    source: ChunkSource
    file: str | None
    format: Format
    source_format: str
    mapping: Mapping[str, str] = field(default_factory=dict[str, str])
    task: Task | None
    rows: int
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        name = repr(self.file) if self.file else "rows"
        return f"<Diagnosis of {name}: {self.rows:,} rows, {len(self.findings)} findings>"

    def _repr_html_(self) -> str:
        """Return the findings as a table, for notebooks."""
        rows = [
            (finding.severity, finding.message, finding.fix.description if finding.fix else "")
            for finding in self.findings
        ]
        table = render_table(("Severity", "Finding", "Fix"), rows)
        return render_fragment(tag("p", repr(self)), table)

    def plan(self, decide: FixDecision | None = None) -> Plan:
        """Decide which fixes to apply; nothing is changed yet.

        Args:
            decide: Called with each finding that has an optional fix; returns whether to apply it.
                Without it, all are applied.

        Example:
            ```python
            plan = diagnosis.plan(lambda finding: finding.code != "upper-case")
            ```
        """
        accepted: list[Finding] = []
        declined: list[Finding] = []
        for finding in self.findings:
            if finding.fix:
                is_accepted = finding.fix.required or decide is None or decide(finding)
                (accepted if is_accepted else declined).append(finding)
        return Plan(
            source=self.source,
            file=self.file,
            format=self.format,
            task=self.task,
            accepted=tuple(accepted),
            declined=tuple(declined),
            unfixable=tuple(finding for finding in self.findings if not finding.fix),
        )
