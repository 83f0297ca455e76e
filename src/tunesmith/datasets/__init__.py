"""Training data: read any file, find its problems, fix them, split it, write it.

```
 csv tsv xlsx txt json jsonl parquet (.gz .zst)      your own rows
        └──────────────┬───────────────────────────────────┘
                    read/          Row(line, data), in flat memory
                       │
                  formats.py       recognise the format; convert.py, columns.py: convert rows
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
                  write.py         JSON lines, complete or not at all, never over a file
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

from tunesmith.datasets.convert import to_chat, to_completion
from tunesmith.datasets.dataset import Dataset, Source, diagnose
from tunesmith.datasets.diagnosis import Check, Diagnosis, Task
from tunesmith.datasets.examples import example
from tunesmith.datasets.findings import Finding, Fix, FixDecision, Severity
from tunesmith.datasets.formats import SOURCE_FORMATS, SourceFormat
from tunesmith.datasets.plan import Plan, write
from tunesmith.datasets.read.files import KINDS, FileType
from tunesmith.datasets.rows import Chunk, ChunkSource, Row
from tunesmith.datasets.transforms import RowTransform
from tunesmith.datasets.write import WriteResult
from tunesmith.training_rules import FORMATS, Format

__all__ = [
    "FORMATS",
    "KINDS",
    "SOURCE_FORMATS",
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
    "SourceFormat",
    "Task",
    "WriteResult",
    "diagnose",
    "example",
    "to_chat",
    "to_completion",
    "write",
]
