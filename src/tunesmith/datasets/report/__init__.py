"""Reports: a dataset's findings, distributions and cost.

```
 Diagnosis, Plan, WriteResult
            │
   make_report ───── measure.py     Statistics: histograms, labels, a few examples, in one pass
            │
  DatasetReport ──── to_dict()      JSON
            ├─────── to_html()      html.py: one page that loads nothing
            └─────── terminal.py    the output of the command line
```
"""

from tunesmith.datasets.report.histogram import Histogram
from tunesmith.datasets.report.measure import Statistics, compute_statistics
from tunesmith.datasets.report.report import DatasetReport, make_report

__all__ = ["DatasetReport", "Histogram", "Statistics", "compute_statistics", "make_report"]
