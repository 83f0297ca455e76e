"""The batches of a job, as the service has them."""

from collections.abc import Collection
from os import PathLike

from tunesmith.batch.output import JobPaths
from tunesmith.batch.shard_log import ShardLog, metadata_of
from tunesmith.batch.shards import Shard
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

__all__ = ["cancel_batch", "cancel_batches", "find_batches", "is_transient"]

_SKEW_S = 300
"""How far the service's clock may be behind ours."""

_NEWEST = 100
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
_SERVER_ERROR = 500


async def find_batches(client: AsyncClient, job: str, shards: Collection[Shard]) -> dict[int, str]:
    """Find the batches that were made of shards, by their metadata.

    Args:
        client: Makes the calls.
        job: The job's name.
        shards: The shards.

    Returns:
        The ids of the batches, by the numbers of the shards.
    """
    oldest = min(shard.created_at for shard in shards) - _SKEW_S
    found: dict[int, str] = {}
    async for batch in client.batches.list(limit=_NEWEST):
        if batch.created_at is not None and batch.created_at < oldest:
            break
        for shard in shards:
            if (batch.metadata or {}).items() >= metadata_of(job, shard).items():
                found.setdefault(shard.number, batch.id)
        if len(found) == len(shards):
            break
    return found


async def cancel_batch(client: AsyncClient, batch: Batch) -> Batch:
    """Have the service end a batch; one that is over stays as it is."""
    if batch.is_over or batch.status == "cancelling":
        return batch
    try:
        return await client.batches.cancel(batch.id)
    except ConflictError:  # it has just ended by itself
        return await client.batches.retrieve(batch.id)


async def cancel_batches(output: str | PathLike[str], client: AsyncClient) -> list[Batch]:
    """Have the service end all batches of a job, be a run at work on it or not.

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
    log = ShardLog.read(paths)
    lost = [shard for shard in log.shards.values() if shard.batch_id is None]
    ids = [shard.batch_id for shard in log.shards.values() if shard.batch_id]
    if lost and log.job:
        ids += (await find_batches(client, log.job, lost)).values()
    batches = [await client.batches.retrieve(batch_id) for batch_id in ids]
    return [await cancel_batch(client, batch) for batch in batches if not batch.is_over]


def is_transient(error: TunesmithError) -> bool:
    """Whether an error of a call may not happen again."""
    if isinstance(error, APIStatusError):
        return error.status in _TRANSIENT_STATUSES or error.status >= _SERVER_ERROR
    return isinstance(error, APIError | DeadlineExceededError)
