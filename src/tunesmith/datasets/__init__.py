"""Training data: read anything, find what is wrong, repair it, split it, write it.

```
 csv tsv xlsx txt json jsonl parquet (.gz .zst)      rows of your own
        └──────────────┬───────────────────────────────────┘
                    read/          Row(line, data), in chunks; memory stays flat
                       │
                  formats.py       completions, chat, dpo, reinforcement: recognise, convert
                       │
      Dataset ─────────┤           the way in: dataset.py
                       │
                  diagnose/        one module a format, and what all formats share
                       │
  Diagnosis: Finding(code, severity, message, lines, …, remedy) …
                       │
          Decide       │           your callback: apply this remedy?
                       │
   Plan ───────────────┤           plan.py: what will be done; print it
                       │           repairs.py: how, a chunk at a time
                  split.py         train and validation, by seed and by label
                       │
                  write.py         JSONL, beside and renamed, never over a file
                       │
                    Written        names, counts, separator and ending
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

Without an event loop, `diagnose(dataset)` and `write(plan)` do the same, and block. Nothing here
needs a client or the network.
"""

from tunesmith.datasets.checks import diagnose
from tunesmith.datasets.convert import to_chat, to_completion
from tunesmith.datasets.dataset import Dataset, Source
from tunesmith.datasets.diagnosis import Check, Diagnosis, Task
from tunesmith.datasets.findings import Finding, Fix, FixDecision, Severity
from tunesmith.datasets.plan import Plan
from tunesmith.datasets.read.files import KINDS, FileType
from tunesmith.datasets.rows import FORMATS, Chunk, ChunkSource, Format, Row
from tunesmith.datasets.transforms import RowTransform
from tunesmith.datasets.write import WriteResult, write

__all__ = [
    "FORMATS",
    "KINDS",
    "Check",
    "Chunk",
    "ChunkSource",
    "Dataset",
    "Diagnosis",
    "FileType",
    "Finding",
    "Fix",
    "FixDecision",
    "Format",
    "Plan",
    "Row",
    "RowTransform",
    "Severity",
    "Source",
    "Task",
    "WriteResult",
    "diagnose",
    "to_chat",
    "to_completion",
    "write",
]
