from tunesmith.batch.batch_api.batches import cancel_batches as cancel_batches
from tunesmith.batch.budget import Budget as Budget
from tunesmith.batch.endpoints import (
    ENDPOINTS as ENDPOINTS,
    Endpoint as Endpoint,
)
from tunesmith.batch.estimate import Estimate as Estimate
from tunesmith.batch.job import BatchJob as BatchJob
from tunesmith.batch.journal_summary import read_runs as read_runs
from tunesmith.batch.options import BatchLimits as BatchLimits
from tunesmith.batch.rate_limiter import RateLimiter as RateLimiter
from tunesmith.batch.report import (
    BatchReport as BatchReport,
    FailureCause as FailureCause,
    OnProgress as OnProgress,
    Progress as Progress,
    RunCounts as RunCounts,
    StopReason as StopReason,
)
from tunesmith.batch.requests import Template as Template
from tunesmith.batch.result_files import BatchResults as BatchResults
from tunesmith.batch.results import (
    Result as Result,
    RowError as RowError,
    Usage as Usage,
)
from tunesmith.batch.source import Source as Source
from tunesmith.batch.status import (
    JobStatus as JobStatus,
    read_status as read_status,
)
