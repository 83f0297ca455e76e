"""The core of batch jobs: a state machine that holds everything a job must not get wrong.

```text
        events.py                          decisions.py
  what happened  ──►  core.py  JobCore  ──►  what to do
                        │   live.py       rows sent one by one, outage.py
                        │   batches.py    rows sent by provider batches, token_quota.py
                        │   states.py     transitions of rows and shards
                        │   ledger.py     money as double entry
                        │   pace.py       rate_limiter.py, concurrency.py
                        ▼
                    entries.py            the journal: replaying it gives the same state
```

Nothing here reads a file, a clock, a socket or a random number.
"""
