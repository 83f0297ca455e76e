"""What a job measured, as the service's table."""

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunesmith.types import JobResults

__all__ = ["results_to_csv"]


def results_to_csv(results: "JobResults") -> str:
    """Write results as CSV, with the columns that the service gave."""
    columns = list(dict.fromkeys(name for step in results for name in step.columns))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(step.columns for step in results)
    return text.getvalue()
