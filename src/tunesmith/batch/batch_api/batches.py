"""Batches of a job, as the service has them."""

from os import PathLike

from tunesmith.batch.append_log import read_line
from tunesmith.batch.concurrency import AdaptiveConcurrency
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.entries import JobBegun, ShardEntry, parse_entry
from tunesmith.batch.core.ledger import Ledger
from tunesmith.batch.core.state import CoreOptions, JobState
from tunesmith.batch.core.states import RowRecord, Shard
from tunesmith.batch.core.throttle import Throttle
from tunesmith.batch.output import JobPaths
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.client import AsyncClient
from tunesmith.errors import (
    APIError,
    APIStatusError,
    ConflictError,
    DatasetError,
    DeadlineExceededError,
    TunesmithError,
)
from tunesmith.types.batches import Batch

__all__ = [
    "cancel_batch",
    "cancel_batches",
    "find_batches",
    "is_transient",
    "metadata_of",
    "read_shards",
]

_MAX_AGE_S = 86_400.0
"""Lists show the newest batches first; one that is so much older than the shard ends the search,
whatever the clocks say."""

_PAGE = 100
_MAX_BATCHES = 5_000
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_SERVER_ERROR = 500


def metadata_of(job: str, number: int) -> dict[str, str]:
    """Return the metadata that a batch is found by when the answer to its creation is lost."""
    return {"tunesmith_job": job, "tunesmith_shard": str(number)}


async def find_batches(client: AsyncClient, job: str, shard: Shard) -> tuple[str, ...]:
    """Return the ids of the batches that were created for a shard, the oldest first.

    Args:
        client: Makes the calls.
        job: The job's name.
        shard: The shard.
    """
    metadata = metadata_of(job, shard.number).items()
    ids: list[str] = []
    count = 0
    async for batch in client.batches.list(limit=_PAGE):
        count += 1
        is_older = batch.created_at is not None and batch.created_at < shard.written_at - _MAX_AGE_S
        if is_older or count > _MAX_BATCHES:
            break
        if (batch.metadata or {}).items() >= metadata:
            ids.append(batch.id)
    return tuple(reversed(ids))


async def cancel_batch(client: AsyncClient, batch: Batch) -> Batch:
    """Cancel a batch; one that is over stays as it is."""
    if batch.is_over or batch.status == "cancelling":
        return batch
    try:
        return await client.batches.cancel(batch.id)
    except ConflictError:  # it has just ended by itself
        return await client.batches.retrieve(batch.id)


async def cancel_batches(output: str | PathLike[str], client: AsyncClient) -> list[Batch]:
    """Cancel all batches of a job, whether a run is at work on it or not.

    What they have done until then is paid, and a run with `resume=True` collects it.

    Args:
        output: The file of answers.
        client: Makes the calls.

    Raises:
        DatasetError: There is no such job.

    Returns:
        The batches that were not over yet.
    """
    paths = JobPaths(output)
    if not paths.journal.exists():
        raise DatasetError(
            "There is no journal of a job here.",
            file=str(paths.journal),
            remedy="Give the output that the job was given.",
        )
    job, shards = read_shards(paths)
    ids: list[str] = []
    for shard in shards.values():
        if shard.batch_id is not None:
            ids.append(shard.batch_id)
        elif shard.creates:
            ids += await find_batches(client, job, shard)
    batches = [await client.batches.retrieve(batch_id) for batch_id in ids]
    return [await cancel_batch(client, batch) for batch in batches if not batch.is_over]


def is_transient(error: TunesmithError) -> bool:
    """Return whether a call that failed may succeed later."""
    if isinstance(error, APIStatusError):
        return error.status in _TRANSIENT_STATUSES or error.status >= _SERVER_ERROR
    return isinstance(error, APIError | DeadlineExceededError)


class _NoTable:
    """A table for a core that is only asked for its shards."""

    def get(self, key: str) -> RowRecord | None:  # noqa: ARG002
        """Return nothing."""
        return None

    def put(self, key: str, record: RowRecord) -> None:
        """Store nothing."""


def read_shards(paths: JobPaths) -> tuple[str, dict[int, Shard]]:
    """Read a journal without disturbing the run that uses it.

    Returns:
        The name of the job, and the shards that are not closed.
    """
    throttle = Throttle(RateLimiter(), AdaptiveConcurrency(1))
    core = JobCore(JobState(CoreOptions(), Ledger(), throttle, _NoTable()))
    job = ""
    with paths.journal.open("rb") as stream:
        for line in stream:
            if b'"shard"' not in line and b'"journal"' not in line:
                continue
            data = read_line(line)
            entry = parse_entry(data) if data is not None else None
            if isinstance(entry, JobBegun):
                job = entry.job
            elif isinstance(entry, ShardEntry):
                core.replay(entry)
    return job, core.batches.shards
