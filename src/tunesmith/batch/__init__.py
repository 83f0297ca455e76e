"""Jobs of many completions, over any backend: none lost, none paid twice.

```
 jsonl csv parquet …   iterables   tables
        └───────────┬────────────────┘
                source.py       what is in a source, a piece at a time
                    │
               requests.py      a row's fields become a request; rows.py: Row(key, body, …)
                    │
                feeder.py       reads ahead; index.py: which keys earlier runs have finished
                    │
                 gate.py        pacing.py, concurrency.py, budget.py: may it be sent now?
                    │
                 live.py        workers: journal.py before, the client's backend (outage.py), then
                    │
                output.py       answers and errors, each written once (lines.py)
                    │
   results.py ──────┴────── report.py    one row's outcome; the whole job's
```

`job.py` has the way in, `run.py` puts the parts together.
"""

from tunesmith.batch.batch_api.batches import cancel_batches
from tunesmith.batch.budget import Budget
from tunesmith.batch.endpoints import ENDPOINTS, Endpoint
from tunesmith.batch.estimate import Estimate
from tunesmith.batch.job import BatchJob
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.batch.report import BatchReport, FailureCause, OnProgress, Progress, StopReason
from tunesmith.batch.requests import Template
from tunesmith.batch.results import Result, RowError, Usage
from tunesmith.batch.shards import BatchLimits
from tunesmith.batch.source import Source

__all__ = [
    "ENDPOINTS",
    "BatchJob",
    "BatchLimits",
    "BatchReport",
    "Budget",
    "Endpoint",
    "Estimate",
    "FailureCause",
    "OnProgress",
    "Progress",
    "RateLimiter",
    "Result",
    "RowError",
    "Source",
    "StopReason",
    "Template",
    "Usage",
    "cancel_batches",
]
