"""Operations on batches."""

from dataclasses import KW_ONLY
from typing import Annotated, Literal

from annotated_types import Ge

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.param_types import ExpiresAfterParam, MetadataParam
from tunesmith.types.base import Page
from tunesmith.types.batches import Batch


@operation("batches.create", "POST", "/batches", is_create=True)
class CreateBatch(Operation[Batch]):
    """Create a batch from a file of requests. Invalid lines make the batch fail later.

    Args:
        completion_window: Time to complete the batch; the API supports only `24h`.
        endpoint: The `url` of all lines of the file.
        input_file_id: ID of a file with purpose `batch`: up to 50,000 lines and 200 MB.
        metadata: Up to 16 key-value pairs to store with the batch.
        output_expires_after: Time at which the service deletes the output files, such as
            `{"anchor": "created_at", "seconds": 86_400}`.

    Source: https://platform.openai.com/docs/api-reference/batch/create
    """

    _: KW_ONLY
    completion_window: Literal["24h"]
    endpoint: Literal[
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/moderations",
        "/v1/images/generations",
        "/v1/images/edits",
        "/v1/videos",
    ]
    input_file_id: str
    metadata: MetadataParam | None = None
    output_expires_after: ExpiresAfterParam | None = None


@operation("batches.retrieve", "GET", "/batches/{batch_id}")
class RetrieveBatch(Operation[Batch]):
    """Retrieve a batch.

    Args:
        batch_id: ID of the batch.

    Source: https://platform.openai.com/docs/api-reference/batch/retrieve
    """

    batch_id: str


@operation("batches.list", "GET", "/batches")
class ListBatches(Operation[Page[Batch]]):
    """List the batches, newest first.

    Args:
        after: ID of the last batch of the previous page.
        limit: Maximum number of batches per page; the service's default is 20.

    Source: https://platform.openai.com/docs/api-reference/batch/list
    """

    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None


@operation("batches.cancel", "POST", "/batches/{batch_id}/cancel")
class CancelBatch(Operation[Batch]):
    """Cancel a batch. Requests that complete within ten minutes are still returned.

    Args:
        batch_id: ID of the batch.

    Source: https://platform.openai.com/docs/api-reference/batch/cancel
    """

    batch_id: str
