"""The report: everything known about a dataset, as an object."""

from dataclasses import dataclass
from typing import Any

from tunesmith.datasets.cost import Cost, Prices, training_cost
from tunesmith.datasets.dataset import Dataset
from tunesmith.datasets.diagnosis import Diagnosis
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.plan import Plan
from tunesmith.datasets.report.html import render_html
from tunesmith.datasets.report.measure import Statistics, compute_statistics
from tunesmith.datasets.threads import CancellationCheck, no_checkpoint, run_in_thread
from tunesmith.datasets.tokens import TokenCounter, default_counter
from tunesmith.datasets.write import WriteResult

__all__ = ["DatasetReport", "make_report"]

_LABELS_LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """What is known about a dataset. Made by `make_report`, or with `await DatasetReport.build(…)`.

    Attributes:
        diagnosis: What was found.
        plan: What was to be done about it.
        written: What was written; None if nothing has been yet.
        statistics: Measured on the rows as the plan makes them; of a split, on the training rows.
        cost: What training on them costs; None for reinforcement, which is paid by time.
    """

    diagnosis: Diagnosis
    plan: Plan
    written: WriteResult | None
    statistics: Statistics
    cost: Cost | None

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
        """Make a report, in a thread, so that the event loop goes on. See `make_report`.

        Example:
            ```python
            diagnosis = await Dataset.open("kant.csv").diagnose()
            report = await DatasetReport.build(diagnosis)
            Path("report.html").write_text(report.to_html(), encoding="utf-8")
            ```
        """
        return await run_in_thread(
            lambda checkpoint: make_report(
                diagnosis,
                plan,
                written,
                model=model,
                counter=counter,
                epochs=epochs,
                prices=prices,
                checkpoint=checkpoint,
            )
        )

    def status_of(self, finding: Finding) -> str:
        """What becomes of a finding: `required`, `accepted`, `declined`, or nothing."""
        if finding.remedy is None:
            return ""
        if finding in self.plan.declined:
            return "declined"
        return "necessary" if finding.remedy.required else "accepted"

    def to_dict(self) -> dict[str, Any]:
        """The report for machines, of values that JSON knows.

        Keys stay the same from release to release; new ones may come.
        """
        statistics, written = self.statistics, self.written
        return {
            "file": self.diagnosis.file,
            "format": self.diagnosis.format,
            "task": self.diagnosis.task,
            "rows_read": self.diagnosis.rows,
            "findings": [self._finding(found) for found in self.diagnosis.findings],
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
            "lengths": {name: each.to_dict() for name, each in statistics.lengths.items()},
            "labels": _labels(statistics),
            "cost": None if self.cost is None else _cost(self.cost),
        }

    def to_html(self) -> str:
        """The report as a page for the browser: one file, which fetches nothing."""
        return render_html(self)

    def _finding(self, found: Finding) -> dict[str, Any]:
        return {
            "code": found.code,
            "severity": found.severity,
            "message": found.message,
            "file": found.file,
            "field": found.field,
            "count": found.count,
            "lines": list(found.lines),
            "excerpt": found.excerpt,
            "remedy": found.remedy.description if found.remedy else None,
            "status": self.status_of(found) or None,
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
    checkpoint: CancellationCheck = no_checkpoint,
) -> DatasetReport:
    """Measure a dataset and put together what is known about it; blocks.

    Args:
        diagnosis: What was found.
        plan: What is to be done about it; without it, all remedies.
        written: What was written, if anything has been: the training file is measured then.
        model: The model to be trained, for tokens and price.
        counter: Counts tokens; without it, `default_counter(model)`.
        epochs: How often each example is trained on; without it, `default_epochs`.
        prices: Your prices of training.
        checkpoint: Called between chunks; may raise to stop.

    Raises:
        DatasetError: The plan is for data nothing can be made of, or the file cannot be read.

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
        checkpoint=checkpoint,
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
    )


def _written(written: WriteResult) -> dict[str, Any]:
    return {
        "files": [str(file) for file in written.files],
        "rows": list(written.rows),
        "separator": written.separator,
        "ending": written.ending,
    }


def _labels(statistics: Statistics) -> list[dict[str, Any]] | None:
    if statistics.labels is None:
        return None
    common = statistics.labels.most_common(_LABELS_LISTED)
    return [{"label": label, "count": count} for label, count in common]


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "tokens": cost.tokens,
        "epochs": cost.epochs,
        "trained_tokens": cost.trained_tokens,
        "exact": cost.exact,
        "model": cost.model,
        "usd": cost.usd,
        "as_of": cost.as_of.isoformat() if cost.as_of else None,
    }
