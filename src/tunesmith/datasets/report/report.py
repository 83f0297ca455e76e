"""Report: everything known about a dataset, as an object."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import anyio.from_thread
import anyio.to_thread

from tunesmith.datasets.cost import Cost, Prices, training_cost
from tunesmith.datasets.dataset import Dataset
from tunesmith.datasets.diagnosis import Diagnosis
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.plan import Plan
from tunesmith.datasets.report.html import render_html
from tunesmith.datasets.report.measure import Statistics, compute_statistics
from tunesmith.datasets.rows import (
    CancellationCheck,
    ChunkSource,
    Row,
    cancellable,
    never_cancelled,
)
from tunesmith.datasets.tokens import TokenCounter, default_counter, segments
from tunesmith.datasets.writer import WriteResult

__all__ = ["DatasetReport", "make_report"]

_LABELS_LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """Report about a dataset, made by `make_report` or `await DatasetReport.build(…)`.

    Attributes:
        diagnosis: The findings.
        plan: The fixes.
        written: The files written; None before.
        statistics: Statistics of the fixed rows; after a split, of the training rows.
        cost: The cost of training; None for reinforcement, which is paid by time.
        concerned: The first row of each finding as it was read, by line.
    """

    diagnosis: Diagnosis
    plan: Plan
    written: WriteResult | None
    statistics: Statistics
    cost: Cost | None
    concerned: Mapping[int, Row] = field(default_factory=dict[int, Row])

    @classmethod
    async def build(
        cls,
        diagnosis: Diagnosis,
        plan: Plan | None = None,
        written: WriteResult | None = None,
        *,
        model: str | None = None,
        counter: TokenCounter | None = None,
        epochs: int | None = None,
        prices: Prices | None = None,
    ) -> "DatasetReport":
        """Make a report in a thread; see `make_report`.

        Example:
            ```python
            diagnosis = await Dataset.open("kant.csv").diagnose()
            report = await DatasetReport.build(diagnosis)
            Path("report.html").write_text(report.to_html(), encoding="utf-8")
            ```
        """
        return await anyio.to_thread.run_sync(
            partial(
                make_report,
                diagnosis,
                plan,
                written,
                model=model,
                counter=counter,
                epochs=epochs,
                prices=prices,
                check_cancelled=anyio.from_thread.check_cancelled,
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; its keys stay the same from release to release."""
        statistics, written = self.statistics, self.written
        return {
            "file": self.diagnosis.file,
            "format": self.diagnosis.format,
            "source_format": self.diagnosis.source_format,
            "mapping": dict(self.diagnosis.mapping),
            "task": self.diagnosis.task,
            "rows_read": self.diagnosis.rows,
            "findings": [self._finding(finding) for finding in self.diagnosis.findings],
            "written": None if written is None else _written(written),
            "rows": statistics.rows,
            "tokens": {
                "counted_by": statistics.counter.name,
                "exact": statistics.counter.exact,
                "note": statistics.counter.note,
                "per_example": statistics.tokens.to_dict(),
                "learned_per_example": statistics.learned_tokens.to_dict(),
            },
            "images": statistics.images,
            "lengths": {
                name: histogram.to_dict() for name, histogram in statistics.lengths.items()
            },
            "labels": _labels(statistics),
            "examples": [
                {"line": line, "segments": [segment._asdict() for segment in segments(data)]}
                for line, data in statistics.examples
            ],
            "cost": None if self.cost is None else _cost(self.cost),
        }

    def to_html(self) -> str:
        """Return the report as an HTML page that loads nothing."""
        return render_html(
            self.diagnosis,
            self.plan,
            self.written,
            self.statistics,
            str(self.cost or ""),
            self.concerned,
        )

    def _finding(self, finding: Finding) -> dict[str, Any]:
        return {
            "code": finding.code,
            "severity": finding.severity,
            "message": finding.message,
            "file": finding.file,
            "field": finding.field,
            "count": finding.count,
            "lines": list(finding.lines),
            "excerpt": finding.excerpt,
            "fix": finding.fix.description if finding.fix else None,
            "status": self.plan.status_of(finding) or None,
        }


def make_report(
    diagnosis: Diagnosis,
    plan: Plan | None = None,
    written: WriteResult | None = None,
    *,
    model: str | None = None,
    counter: TokenCounter | None = None,
    epochs: int | None = None,
    prices: Prices | None = None,
    check_cancelled: CancellationCheck = never_cancelled,
) -> DatasetReport:
    """Make a report about a dataset; blocks.

    Args:
        diagnosis: The findings.
        plan: The fixes; without it, all fixes.
        written: The files written, if any; then the statistics are those of the training file.
        model: The model to train, for tokens and price.
        counter: The counter of tokens; without it, `default_counter(model)`.
        epochs: The number of epochs; without it, `default_epochs`.
        prices: Your prices of training.
        check_cancelled: Called between chunks; may raise to stop.

    Raises:
        DatasetError: The plan has fatal findings, or the file cannot be read.

    Example:
        ```python
        report = make_report(diagnose(Dataset.open("kant.csv")))
        print(report.cost)
        ```
    """
    plan = plan or diagnosis.plan()
    plan.raise_if_fatal()
    counter = counter or default_counter(model)
    rows = plan.transformed_chunks()
    if written and written.files:
        rows = Dataset.open(written.files[0], kind="jsonl", format=plan.format).chunks
    statistics = compute_statistics(
        rows,
        format=diagnosis.format,
        task=diagnosis.task,
        counter=counter,
        check_cancelled=check_cancelled,
    )
    cost = training_cost(
        statistics.tokens.total,
        statistics.rows,
        exact=counter.exact,
        epochs=epochs,
        model=model,
        prices=prices,
    )
    return DatasetReport(
        diagnosis=diagnosis,
        plan=plan,
        written=written,
        statistics=statistics,
        cost=None if diagnosis.format == "reinforcement" else cost,
        concerned=_rows_at(
            {finding.line for finding in diagnosis.findings if finding.line},
            cancellable(diagnosis.source, check_cancelled),
        ),
    )


def _rows_at(lines: set[int], rows: ChunkSource) -> dict[int, Row]:
    """Return the rows at these lines; none for a line that holds several."""
    matches: dict[int, list[Row]] = {line: [] for line in lines}
    for chunk in rows() if lines else ():
        for row in chunk:
            if row.line in lines:
                matches[row.line].append(row)
        if chunk and chunk[-1].line > max(lines):
            break
    return {line: rows[0] for line, rows in matches.items() if len(rows) == 1}


def _written(written: WriteResult) -> dict[str, Any]:
    return {
        "files": [str(file) for file in written.files],
        "rows": list(written.rows),
        "separator": written.separator,
        "ending": written.ending,
        "errors": [str(error) for error in written.errors],
    }


def _labels(statistics: Statistics) -> list[dict[str, Any]] | None:
    if statistics.labels is None:
        return None
    common = statistics.labels.most_common(_LABELS_LISTED)
    return [{"label": label, "count": count} for label, count in common]


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        **asdict(cost),
        "trained_tokens": cost.trained_tokens,
        "as_of": cost.as_of.isoformat() if cost.as_of else None,
    }
