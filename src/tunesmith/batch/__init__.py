"""Batch jobs: completions by the million over any backend, none lost, none paid twice.

```
 jsonl csv parquet …   iterables   tables
        └───────────┬────────────────┘
                source.py       rows, in chunks
                    │
               requests.py      a request per row; rows.py: its key
                    │
              row_queue.py      reads ahead; index.py: keys that have an outcome
                    │
                  core/         state machine: events in, decisions out; journal.py: its log
                    │
              dispatch.py       performs decisions: live.py, or batch_api/ for provider batches
                    │
                output.py       successes and failures, each written once
                    │
   results.py ──────┴────── report.py    outcome of a row; of the job
```

`job.py` is the public class, `run.py` composes the parts.
"""

from tunesmith.batch.batch_api.batches import cancel_batches
from tunesmith.batch.budget import Budget
from tunesmith.batch.endpoints import ENDPOINTS, Endpoint
from tunesmith.batch.estimate import Estimate
from tunesmith.batch.job import BatchJob
from tunesmith.batch.journal_summary import read_runs
from tunesmith.batch.options import BatchLimits
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.batch.report import (
    BatchReport,
    FailureCause,
    OnProgress,
    Progress,
    RunCounts,
    StopReason,
)
from tunesmith.batch.requests import Template
from tunesmith.batch.result_files import BatchResults
from tunesmith.batch.results import Result, RowError, Usage
from tunesmith.batch.source import Source
from tunesmith.batch.status import JobStatus, read_status

__all__ = [
    "ENDPOINTS",
    "BatchJob",
    "BatchLimits",
    "BatchReport",
    "BatchResults",
    "Budget",
    "Endpoint",
    "Estimate",
    "FailureCause",
    "JobStatus",
    "OnProgress",
    "Progress",
    "RateLimiter",
    "Result",
    "RowError",
    "RunCounts",
    "Source",
    "StopReason",
    "Template",
    "Usage",
    "cancel_batches",
    "read_runs",
    "read_status",
]
