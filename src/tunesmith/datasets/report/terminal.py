"""Report as text for the terminal; needs the extra `cli`."""

from typing import TYPE_CHECKING

from tunesmith.datasets.findings import make_excerpt
from tunesmith.datasets.report.histogram import Histogram
from tunesmith.datasets.report.report import DatasetReport
from tunesmith.datasets.rows import Row
from tunesmith.datasets.tokens import segments

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["print_report"]

_LEVELS = "▁▂▃▄▅▆▇█"
_LABELS_SHOWN = 10
_LEAST_BARS = 16


def print_report(report: DatasetReport, console: "Console") -> None:
    """Print distributions, labels, tokens, the loss mask of an example, and cost.

    Example:
        ```python
        from rich.console import Console
        from tunesmith.datasets import Dataset, diagnose
        from tunesmith.datasets.report import make_report

        print_report(make_report(diagnose(Dataset.open("kant.csv"))), Console())
        ```
    """
    from rich.table import Table  # noqa: PLC0415 — an extra
    from rich.text import Text  # noqa: PLC0415 — an extra

    statistics = report.statistics
    table = Table(box=None, pad_edge=False)
    table.add_column("per example")
    for name in ("min", "median", "mean", "p95", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("distribution", no_wrap=True, overflow="crop", min_width=_LEAST_BARS)
    for name, histogram in {
        "tokens": statistics.tokens,
        "learned tokens": statistics.learned_tokens,
        **statistics.lengths,
    }.items():
        table.add_row(name, *_numbers(histogram), sparkline(histogram))
    console.print(table)
    if statistics.labels:
        labels = Table(box=None, pad_edge=False)
        labels.add_column("label")
        labels.add_column("rows", justify="right")
        for label, count in statistics.labels.most_common(_LABELS_SHOWN):
            # Text, because a label may contain markup of rich.
            labels.add_row(Text(repr(label)), f"{count:,}")
        if (others := len(statistics.labels) - _LABELS_SHOWN) > 0:
            labels.add_row(f"and {others:,} more", "")
        console.print(labels)
    if statistics.examples:
        console.print(Text("A random example, with the learned text in [[…]]:"))
        console.print(_loss_mask(statistics.examples[0]))
    if not statistics.counter.exact:
        console.print(Text(f"Tokens are {statistics.counter.note}."))
    if statistics.images:
        console.print(f"The tokens of {statistics.images:,} images are not counted.")
    if report.cost is not None:
        console.print(Text(f"Training: {report.cost}."))


def _loss_mask(example: Row) -> "Text":
    """Return an example's text with the learned parts marked, even without colours."""
    from rich.text import Text  # noqa: PLC0415 — an extra

    lines: list[Text] = []
    for segment in segments(example.data):
        line = Text(f"  {segment.role}: ")
        shown = make_excerpt(segment.text)
        if segment.is_learned:
            line.append(f"[[{shown}]]", style="green")
        else:
            line.append(shown, style="dim")
        lines.append(line)
    return Text("\n").join(lines)


def sparkline(histogram: Histogram) -> str:
    """Return a histogram as one line of text."""
    counts = [values for _, _, values in histogram.bins()]
    tallest = max(counts, default=0)
    return "".join(
        _LEVELS[(count * len(_LEVELS) - 1) // tallest] if count else " " for count in counts
    )


def _numbers(histogram: Histogram) -> list[str]:
    return [
        f"{histogram.minimum:,}",
        f"{histogram.quantile(0.5):,}",
        f"{histogram.mean:,.1f}",
        f"{histogram.quantile(0.95):,}",
        f"{histogram.maximum:,}",
    ]
