"""What came to light on reading."""

from collections.abc import Iterator

from tunesmith.datasets.findings import Finding, Fix
from tunesmith.datasets.read import ReadIssues

__all__ = ["reading_findings"]


def reading_findings(log: ReadIssues) -> Iterator[Finding]:
    """Say what reading left out or changed."""
    for conversion in log.conversions:
        yield Finding(
            code="converted",
            severity="info",
            message=f"The rows are converted: {conversion}.",
            file=log.file,
            remedy=_done(f"Convert {conversion}"),
        )
    if log.further_sheets:
        sheets = ", ".join(log.further_sheets)
        yield Finding(
            code="further-sheets",
            severity="warning",
            message=f"Only the first sheet is read; there are also {sheets}.",
            file=log.file,
        )
    if log.broken.count:
        lines = "1 line" if log.broken.count == 1 else f"{log.broken.count} lines"
        yield log.broken.finding(
            "broken-lines",
            "error",
            f"{lines} cannot be read. The first: {log.first_broken}",
            file=log.file,
            remedy=_done(f"Leave out {lines} that cannot be read"),
        )
    for old, new in log.renamed.items():
        yield Finding(
            code="column-case",
            severity="error",
            message=f"The column `{old}` is to be called `{new}`.",
            file=log.file,
            field=old,
            remedy=_done(f"Rename the column `{old}` to `{new}`"),
        )
    if log.extra:
        columns = ", ".join(f"`{column}`" for column in log.extra)
        yield Finding(
            code="extra-columns",
            severity="error",
            message=f"Rows are to have a prompt and a completion; there are also {columns}.",
            file=log.file,
            remedy=_done(f"Remove the columns {columns}"),
        )
    if log.not_text.count:
        yield log.not_text.finding(
            "not-text",
            "error",
            f"{log.not_text.count} values are numbers or booleans, where the service wants text.",
            file=log.file,
            remedy=_done(f"Write {log.not_text.count} values as text"),
        )


def _done(description: str) -> Fix:
    return Fix(description=description, transform=None, required=True)
