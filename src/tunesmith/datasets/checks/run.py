"""Run of all checks over a dataset."""

from collections.abc import Sequence

from tunesmith.datasets.checks.completions import CompletionsCheck
from tunesmith.datasets.checks.duplicates import overlap_findings
from tunesmith.datasets.checks.rows import RowCheck
from tunesmith.datasets.diagnosis import Check, Task
from tunesmith.datasets.file_findings import count_findings, reading_findings
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.rows import ChunkSource
from tunesmith.training_rules import Format

__all__ = ["run_checks"]


def run_checks(
    first_pass: ChunkSource,
    source: ChunkSource,
    issues: ReadIssues,
    *,
    format: Format,
    validation: ChunkSource | None,
    checks: Sequence[Check],
) -> tuple[tuple[Finding, ...], int, Task | None]:
    """Run all checks.

    Args:
        first_pass: Reads the rows and collects the issues of reading.
        source: Reads the rows again, to find the lines concerned.
        issues: The issues, complete after the first pass.
        format: The format of the rows.
        validation: Reads the validation data.
        checks: Further checks.

    Returns:
        The findings, the number of rows, and the task of a prompt/completion table.
    """
    own: CompletionsCheck | RowCheck
    own = (
        CompletionsCheck(issues.file) if format == "completions" else RowCheck(issues.file, format)
    )
    rows = 0
    for chunk in first_pass():
        rows += len(chunk)
        for check in (own, *checks):
            check.update(chunk)
    findings = [*count_findings(rows, issues.file), *reading_findings(issues)]
    for check in (own, *checks):
        findings += check.findings(source)
    if validation is not None:
        findings += overlap_findings(source, validation, issues.file)
    task = own.task if isinstance(own, CompletionsCheck) else None
    return tuple(findings), rows, task
