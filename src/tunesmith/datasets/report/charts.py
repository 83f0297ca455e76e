"""Bar charts as inline SVG and HTML, for pages that fetch nothing."""

from collections.abc import Sequence
from html import escape

from tunesmith.datasets.report.histogram import Bin, Histogram

__all__ = ["bar_chart", "column_chart"]

_WIDTH = 640
_HEIGHT = 140
_AXIS = 22


def column_chart(name: str, histogram: Histogram) -> str:
    """A histogram as a figure with columns; hovering over one tells its numbers."""
    bins = histogram.bins()
    if not bins:
        return ""
    tallest = max(each.values for each in bins)
    step = _WIDTH / len(bins)
    bars = "".join(_column(each, i * step, step, tallest) for i, each in enumerate(bins))
    caption = (
        f"{histogram.total:,} in all; median {histogram.quantile(0.5):,}, "
        f"mean {histogram.mean:,.1f}, 95% up to {histogram.quantile(0.95):,}, "
        f"greatest {histogram.greatest:,}"
    )
    return (
        f"<figure><h3>{escape(name)}</h3>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _AXIS}" role="img" aria-label="{escape(name)}">'
        f'{bars}<text x="0" y="{_HEIGHT + _AXIS - 5}">{bins[0].low:,}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + _AXIS - 5}" text-anchor="end">{bins[-1].high:,}</text>'
        f"</svg><figcaption>{caption}</figcaption></figure>"
    )


def _column(each: Bin, x: float, step: float, tallest: int) -> str:
    # One row among a million is still to be seen.
    height = max(each.values / tallest * _HEIGHT, 1.0) if each.values else 0.0
    return (
        f'<rect x="{x:.1f}" y="{_HEIGHT - height:.1f}" width="{step - 1:.1f}" '
        f'height="{height:.1f}"><title>{each.low:,} to {each.high:,}: {each.values:,} rows</title>'
        "</rect>"
    )


def bar_chart(name: str, counts: Sequence[tuple[str, int]], others: int = 0) -> str:
    """Counts of texts as a figure with a bar a text.

    Args:
        name: The heading.
        counts: The texts and how often each comes, the most frequent first.
        others: How many further texts are not shown.
    """
    most = max((count for _, count in counts), default=1)
    bars = "".join(
        f'<div class="bar"><span>{escape(text)}</span>'
        f'<i style="width:{count / most * 60:.1f}%"></i><b>{count:,}</b></div>'
        for text, count in counts
    )
    more = f"<figcaption>and {others:,} more</figcaption>" if others else ""
    return f"<figure><h3>{escape(name)}</h3>{bars}{more}</figure>"
