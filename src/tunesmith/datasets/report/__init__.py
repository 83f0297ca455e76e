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
from tunesmith.datasets.report.measure import Statistics, measure
from tunesmith.datasets.report.report import Report, make_report

__all__ = ["Histogram", "Report", "Statistics", "make_report", "measure"]
