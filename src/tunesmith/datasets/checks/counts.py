"""How many rows there are."""

from collections.abc import Iterator

from tunesmith.datasets.findings import Finding

__all__ = ["FEWEST", "count_findings"]

FEWEST = 10
"""A job with fewer examples fails (`invalid_n_examples`)."""

_ADVISED = 100


def count_findings(rows: int, file: str | None) -> Iterator[Finding]:
    """Say if there are too few rows."""
    if rows <= 1:
        yield Finding(
            code="one-row",
            severity="fatal",
            message=f"There {'is one example' if rows else 'are no examples'} only: nothing can be "
            "learnt from it. Give at least ten.",
            file=file,
            count=rows,
        )
    elif rows < FEWEST:
        yield Finding(
            code="too-few-examples",
            severity="error",
            message=f"There are {rows} examples, and the service takes no fewer than {FEWEST}.",
            file=file,
            count=rows,
        )
    elif rows < _ADVISED:
        yield Finding(
            code="few-examples",
            severity="warning",
            message=f"There are {rows} examples; a few hundred are a good beginning, and models "
            "keep getting better as examples double.",
            file=file,
            count=rows,
        )
