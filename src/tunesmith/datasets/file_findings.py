"""Findings about a file as a whole: its rows, its size, and what reading changed."""

from collections.abc import Iterator

from tunesmith.datasets.containers import extract_command
from tunesmith.datasets.findings import Finding, Fix
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.training_rules import MAX_FILE_BYTES, MIN_EXAMPLES

__all__ = ["count_findings", "reading_findings", "size_findings"]

UNNAMED = "(no name)"
_ADVISED = 100


def count_findings(rows: int, file: str | None) -> Iterator[Finding]:
    """Find out whether there are too few rows."""
    if rows <= 1:
        yield Finding(
            code="one-row",
            severity="fatal",
            message=f"There is only {rows} example: nothing can be learned. Add at least ten.",
            file=file,
            count=rows,
        )
    elif rows < MIN_EXAMPLES:
        yield Finding(
            code="too-few-examples",
            severity="error",
            message=f"There are {rows} examples; the service refuses fewer than {MIN_EXAMPLES}.",
            file=file,
            count=rows,
        )
    elif rows < _ADVISED:
        yield Finding(
            code="few-examples",
            severity="warning",
            message=f"There are {rows} examples. A few hundred are a good start, and models "
            "improve with every doubling.",
            file=file,
            count=rows,
        )


def size_findings(size_bytes: int, file: str | None) -> Iterator[Finding]:
    """Find out whether a file is too large for the service."""
    if size_bytes > MAX_FILE_BYTES:
        yield Finding(
            code="too-large-file",
            severity="error",
            message=f"The file has {size_bytes / 1e9:,.1f} GB; the service takes at most "
            f"{MAX_FILE_BYTES / 1e9:,.0f} GB.",
            file=file,
        )


def reading_findings(issues: ReadIssues) -> Iterator[Finding]:
    """Report the rows, columns and values that reading left out or changed."""
    file = issues.file
    for conversion in dict.fromkeys(issues.conversions):
        yield Finding(
            code="converted",
            severity="info",
            message=f"The rows are converted: {conversion}.",
            file=file,
            fix=_done(f"Convert {conversion}"),
        )
    if issues.further_sheets:
        yield Finding(
            code="further-sheets",
            severity="warning",
            message=f"Only the first sheet is read; the others are "
            f"{', '.join(issues.further_sheets)}.",
            file=file,
        )
    if issues.further_lists:
        shown = ", ".join(f"`{key}` ({count} rows)" for key, count in issues.further_lists.items())
        command = extract_command(next(iter(issues.further_lists)), file)
        yield Finding(
            code="further-lists",
            severity="warning",
            message=f"Only the training rows are read; the file holds {shown} too. Write them to a "
            f"file of their own: {command}",
            file=file,
        )
    if issues.broken.count:
        lines = "1 line" if issues.broken.count == 1 else f"{issues.broken.count} lines"
        yield issues.broken.finding(
            "broken-lines",
            "error",
            f"{lines} cannot be read. The first: {issues.first_broken}",
            file=file,
            fix=_done(f"Leave out {lines} that cannot be read"),
        )
    if issues.rejected.count:
        yield issues.rejected.finding(
            "rejected-answers",
            "warning",
            f"{issues.rejected.rows}: labelled as bad answers, which a model must not learn.",
            file=file,
            fix=_done(f"Leave out {issues.rejected.rows} labelled as bad answers"),
        )
    for old, new in issues.renamed.items():
        yield Finding(
            code="renamed-column",
            severity="error",
            message=f"The column `{old}` is read as `{new}`.",
            file=file,
            field=old,
            fix=_done(f"Rename the column `{old}` to `{new}`"),
        )
    if issues.extra:
        names = ", ".join(
            f"`{name or UNNAMED}` ({count})" for name, count in issues.extra.most_common()
        )
        yield Finding(
            code="extra-columns",
            severity="error",
            message=f"The format does not use {names}.",
            file=file,
            fix=_done(f"Remove {names}"),
        )
    if count := issues.not_text.count:
        values = "1 value is" if count == 1 else f"{count} values are"
        yield issues.not_text.finding(
            "not-text",
            "error",
            f"{values} missing, or numbers or booleans instead of text.",
            file=file,
            fix=_done(f"Write {'1 value' if count == 1 else f'{count} values'} as text"),
        )


def _done(description: str) -> Fix:
    return Fix(description=description, transform=None, required=True)
