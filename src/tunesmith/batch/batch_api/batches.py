"""Batches of a job at the service."""

from os import PathLike

from tunesmith.batch.core.states import Shard
from tunesmith.batch.journal_summary import read_journal
from tunesmith.batch.output import JobPaths
from tunesmith.client import AsyncClient
from tunesmith.errors import (
    APIError,
    APIStatusError,
    ConflictError,
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
]

_MAX_AGE_S = 86_400.0
"""Lists show the newest batches first: one that is older than the shard by this, more than clocks
differ, ends the search."""

_PAGE = 100
_MAX_BATCHES = 5_000
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_SERVER_ERROR = 500


def metadata_of(job: str, number: int) -> dict[str, str]:
    """Return the metadata by which a batch is found if the response to its creation is lost."""
    return {"tunesmith_job": job, "tunesmith_shard": str(number)}


async def find_batches(client: AsyncClient, job: str, shard: Shard) -> tuple[str, ...]:
    """Return the IDs of the batches of a shard, the oldest first.

    Args:
        client: Client of the service.
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
    """Cancel a batch, unless it has ended."""
    if batch.is_over or batch.status == "cancelling":
        return batch
    try:
        return await client.batches.cancel(batch.id)
    except ConflictError:  # it has just ended
        return await client.batches.retrieve(batch.id)


async def cancel_batches(output: str | PathLike[str], client: AsyncClient) -> list[Batch]:
    """Cancel all batches of a job, running or not.

    Results until then are paid; a run with `resume=True` collects them.

    Args:
        output: The output of the job.
        client: Client of the service.

    Raises:
        DatasetError: The job does not exist.

    Returns:
        The batches that had not ended.
    """
    journal = read_journal(JobPaths(output))
    ids: list[str] = []
    for shard in journal.shards.values():
        if shard.batch_id is not None:
            ids.append(shard.batch_id)
        elif shard.creates:
            ids += await find_batches(client, journal.job, shard)
    batches = [await client.batches.retrieve(batch_id) for batch_id in ids]
    return [await cancel_batch(client, batch) for batch in batches if not batch.is_over]


def is_transient(error: TunesmithError) -> bool:
    """Return whether a failed call may succeed later."""
    if isinstance(error, APIStatusError):
        return error.status in _TRANSIENT_STATUSES or error.status >= _SERVER_ERROR
    return isinstance(error, APIError | DeadlineExceededError)
