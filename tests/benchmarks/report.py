"""Tables and a plot of what was measured."""

import statistics

SUMMARY_CASES = (
    "Calls, one after the other",
    "Calls, 32 at once",
    "Calls, 1,000 at once",
    "Calls, 32 at once, over TLS",
    "Chunks of 1 stream",
    "Chunks of 64 streams at once",
    "10,000 events by pages",
    "Upload of 200 MB",
    "Download of 200 MB",
)
SUMMARY_CLIENTS = ("openai-aiohttp", "tunesmith", "tunesmith-fast", "aiohttp", "bare")

_WIDTH, _BAR, _LEFT = 760, 16, 150
_COLOURS = {"tunesmith": "#3f51b5", "tunesmith-fast": "#e91e63"}


def table(case, results):
    """Write a case as a Markdown table.

    Ratios are to the official SDK, or to the first of the clients, round by round.
    """
    base = next(iter(results))
    memory = "extra_mb" in results[base][0]
    lines = [
        f"### {case.title}\n",
        f"| Client | CPU µs per {case.unit} | Ratio (min to max) |{' More memory, MB |' * memory}",
        f"| --- | ---: | --- |{' ---: |' * memory}",
    ]
    for peer, runs in results.items():
        ratios = [
            run["cpu_us"] / other["cpu_us"] for run, other in zip(runs, results[base], strict=True)
        ]
        line = (
            f"| {peer} | {_median(runs, 'cpu_us'):,.0f} | {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}) |"
        )
        lines.append(line + (f" {_median(runs, 'extra_mb'):,.1f} |" if memory else ""))
    return "\n".join(lines) + "\n"


def with_tables(page, tables):
    """Replace the tables of a page by those of the same title; others follow them."""
    before, begin, rest = page.partition("<!-- tables -->\n")
    old, end, after = rest.partition("<!-- end of tables -->\n")
    kept = _by_title(old)
    new = {text.partition("\n")[0].removeprefix("### "): text for text in tables}
    merged = {title: f"### {text.strip()}" for title, text in kept.items()} | {
        title: text.strip() for title, text in new.items()
    }
    return f"{before}{begin}\n" + "\n\n".join(merged.values()) + f"\n\n{end}{after}"


def with_summary(page, measurements):
    """Replace the summary of a page by ratios from the tables of another page."""
    before, begin, rest = page.partition("<!-- summary -->\n")
    _, end, after = rest.partition("<!-- end of summary -->\n")
    tables = _by_title(measurements.partition("<!-- tables -->\n")[2])
    lines = [
        f"| Case | `openai` | {' | '.join(f'`{client}`' for client in SUMMARY_CLIENTS)} |",
        f"| --- | ---: |{' ---: |' * len(SUMMARY_CLIENTS)}",
    ]
    for title in SUMMARY_CASES:
        rows = [line.strip("| ").split(" | ") for line in tables[title].splitlines()[2:]]
        unit = rows[0][1].rpartition(" ")[2]
        cells = {row[0]: row[1:] for row in rows[2:]}
        ratios = [cells[c][1].split()[0] if c in cells else "" for c in SUMMARY_CLIENTS]
        lines.append(f"| {title} | {cells['openai'][0]} µs per {unit} | {' | '.join(ratios)} |")
    return f"{before}{begin}\n" + "\n".join(lines) + f"\n\n{end}{after}"


def _by_title(tables):
    parts = tables.partition("<!-- end of tables -->")[0].strip().split("### ")
    return {text.partition("\n")[0]: text for text in parts if text}


def plot(cases):
    """Draw bars of CPU in an SVG picture, a group for each case.

    Args:
        cases: Pairs of a case and its results.
    """
    parts, y = [], 10
    for case, results in cases:
        medians = {peer: _median(runs, "cpu_us") for peer, runs in results.items()}
        longest = max(medians.values())
        parts.append(_text(0, y + 14, f"{case.title}: CPU µs per {case.unit}", weight="bold"))
        y += 22
        for peer, value in medians.items():
            width = max(2, (_WIDTH - _LEFT - 70) * value / longest)
            colour = _COLOURS.get(peer, "#9e9e9e")
            parts.append(_text(_LEFT - 8, y + 12, peer, anchor="end"))
            parts.append(
                f'<rect x="{_LEFT}" y="{y}" width="{width:.0f}" height="{_BAR - 3}" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(_LEFT + width + 6, y + 12, f"{value:,.0f}"))
            y += _BAR
        y += 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" '
        f'font-family="sans-serif" font-size="12" fill="#777">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x, y, text, *, anchor="start", weight="normal"):
    return f'<text x="{x:.0f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{text}</text>'


def _median(runs, what):
    return statistics.median(run[what] for run in runs)
