from tunesmith.datasets.convert import (
    to_chat as to_chat,
    to_completion as to_completion,
)
from tunesmith.datasets.dataset import (
    Dataset as Dataset,
    Source as Source,
    diagnose as diagnose,
)
from tunesmith.datasets.diagnosis import (
    Check as Check,
    Diagnosis as Diagnosis,
    Task as Task,
)
from tunesmith.datasets.examples import example as example
from tunesmith.datasets.findings import (
    Finding as Finding,
    Fix as Fix,
    FixDecision as FixDecision,
    Severity as Severity,
)
from tunesmith.datasets.formats import (
    SOURCE_FORMATS as SOURCE_FORMATS,
    SourceFormat as SourceFormat,
)
from tunesmith.datasets.plan import (
    Plan as Plan,
    write as write,
)
from tunesmith.datasets.read.files import (
    KINDS as KINDS,
    FileType as FileType,
)
from tunesmith.datasets.rows import (
    Chunk as Chunk,
    ChunkSource as ChunkSource,
    Row as Row,
)
from tunesmith.datasets.transforms import RowTransform as RowTransform
from tunesmith.datasets.writer import WriteResult as WriteResult
from tunesmith.training_rules import (
    FORMATS as FORMATS,
    Format as Format,
)
