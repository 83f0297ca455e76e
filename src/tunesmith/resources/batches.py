"""Batches: many requests in one file, processed within 24 hours."""

from tunesmith.operations.batches import CancelBatch, CreateBatch, ListBatches, RetrieveBatch
from tunesmith.resources.base import Resource, operation_method, paged
from tunesmith.resources.polling import wait_until
from tunesmith.types.batches import Batch

__all__ = ["Batches"]


class Batches(Resource):
    """Batches: many requests in one file, processed within 24 hours."""

    create = operation_method(CreateBatch)
    retrieve = operation_method(RetrieveBatch)
    list = paged(ListBatches)
    cancel = operation_method(CancelBatch)

    async def wait(
        self,
        batch: Batch | str,
        *,
        deadline: float | None = None,
        poll_interval: float = 10.0,
    ) -> Batch:
        """Wait until a batch is over, and return it, whatever its status.

        Args:
            batch: The batch or its ID.
            deadline: Seconds to wait; the client's deadline by default.
            poll_interval: Seconds between polls.

        Raises:
            NotFoundError: The batch does not exist.
            APIConnectionError: The service was unreachable for five minutes.
            DeadlineExceededError: The deadline passed.

        Example:
            ```python
            row = b'{"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": {}}'
            requests = await client.files.create(file=("requests.jsonl", row), purpose="batch")
            batch = await client.batches.create(
                input_file_id=requests.id, endpoint="/v1/completions", completion_window="24h"
            )
            batch = await client.batches.wait(batch)
            print(batch.status, batch.output_file_id)
            ```
        """
        return await wait_until(
            self.caller,
            "batches.wait",
            RetrieveBatch(batch if isinstance(batch, str) else batch.id),
            lambda polled: polled.is_over,
            deadline_s=deadline,
            poll_s=poll_interval,
            activity="waiting for the batch",
        )
