"""Training data: read any file, find its problems, fix them, split it, write it.

```
 csv tsv xlsx txt json jsonl parquet (.gz .zst)      your own rows
        └──────────────┬───────────────────────────────────┘
                    read/          Row(line, data), in flat memory
                       │
                containers.py      rows inside an object, such as `{"data": […]}`
                       │
                  formats.py       recognise the format; normalize.py, convert.py: convert rows
                       │
      Dataset ─────────┤           dataset.py: the entry point
                       │
                   checks/         prompts and completions; rows with messages, by training_rules
                       │
  Diagnosis: Finding(code, severity, message, lines, …, fix) …
                       │
      FixDecision      │           your callback: apply this fix?
                       │
   Plan ───────────────┤           plan.py: the fixes; transforms.py: how, a chunk at a time
                       │
                  split.py         training and validation, by seed and by label
                       │
                  writer.py        JSON lines, complete or not at all, never over a file
                       │
                  WriteResult      names, counts, separator, ending, remaining errors
```

```python
from tunesmith.datasets import Dataset

dataset = Dataset.open("kant.csv")
diagnosis = await dataset.diagnose()
for finding in diagnosis.findings:
    print(finding)
plan = diagnosis.plan(lambda finding: finding.code != "upper-case")
print(plan)
written = await plan.write()
```

Without an event loop, use `diagnose(dataset)` and `write(plan)`, which block. Nothing here needs a
client or the network.
"""

from tunesmith._lazy import attach_stub

__getattr__, __dir__ = attach_stub(__name__)
