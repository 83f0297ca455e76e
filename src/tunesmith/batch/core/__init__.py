"""Core of batch jobs: a state machine that decides everything a job must get right.

```text
   a method per event                decisions.py
     of the shell  ──►  core.py JobCore  ──►  work of the shell
                          │   live.py       rows sent one by one, outage.py
                          │   batches.py    rows of provider batches, token_quota.py
                          │   states.py     transitions of rows and shards
                          │   ledger.py     double-entry accounts
                          │   throttle.py   rate_limiter.py, concurrency.py
                          ▼
                      entries.py            the journal: replaying it restores the state
```

Nothing here reads a file, a clock, a socket or a random number.
"""
