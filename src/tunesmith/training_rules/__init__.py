"""Rules that a training file must keep, written once for `datasets` and for the service.

```
rules.py      Rule, Problem and RULES: every rule with its wording and source
rows.py       inspect_row: the problems of one line, by format
messages.py   messages and their content
images.py     parts of messages and images
tools.py      tools, calls and their answers
```

`tunesmith prepare` shows these problems before the upload; the service fails a job for them.
"""

from tunesmith.training_rules.images import count_images
from tunesmith.training_rules.messages import is_learned, message_keys
from tunesmith.training_rules.rows import CHAT_KEYS, COMPLETION_KEYS, PAIR_KEYS, inspect_row
from tunesmith.training_rules.rules import (
    FORMATS,
    MAX_FILE_BYTES,
    MAX_IMAGE_EXAMPLES,
    MAX_UPLOAD_BYTES,
    MIN_EXAMPLES,
    RULES,
    Format,
    Problem,
    Rule,
)

__all__ = [
    "CHAT_KEYS",
    "COMPLETION_KEYS",
    "FORMATS",
    "MAX_FILE_BYTES",
    "MAX_IMAGE_EXAMPLES",
    "MAX_UPLOAD_BYTES",
    "MIN_EXAMPLES",
    "PAIR_KEYS",
    "RULES",
    "Format",
    "Problem",
    "Rule",
    "count_images",
    "inspect_row",
    "is_learned",
    "message_keys",
]
