"""Batch jobs: completions by the million over any backend, none lost, none paid twice.

```
 jsonl csv parquet …   iterables   tables
        └───────────┬────────────────┘
                source.py       rows, in chunks; file_rows.py: those of files
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

from tunesmith._lazy import attach_stub

__getattr__, __dir__ = attach_stub(__name__)
