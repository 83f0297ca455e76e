"""Reports: a dataset's findings, distributions and cost, for looking instead of reading.

```
 Diagnosis, Plan, Written
            │
   make_report ──── measure.py     Statistics: histograms, labels, a few examples, in one pass
            │
         Report ─── to_dict()      for machines
            ├────── to_html()      page.py and charts.py: one file, nothing fetched
            └────── terminal.py    what the command line prints
```
"""

from tunesmith.datasets.report.histogram import Histogram
from tunesmith.datasets.report.measure import Statistics, compute_statistics
from tunesmith.datasets.report.report import DatasetReport, make_report

__all__ = ["DatasetReport", "Histogram", "Statistics", "compute_statistics", "make_report"]
