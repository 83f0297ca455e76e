"""What can be asked about batches."""

from dataclasses import KW_ONLY
from typing import Annotated, Literal

from annotated_types import Ge

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.files import ExpiresAfterParam
from tunesmith.operations.metadata import MetadataParam
from tunesmith.types.base import Page
from tunesmith.types.batches import Batch


@operation("batches.create", "POST", "/batches", creates=True)
class CreateBatch(Operation[Batch]):
    """Let the service answer a file of requests; wrong lines show later, by a batch that fails.

    Args:
        completion_window: Within which time; the API knows `24h` only.
        endpoint: The `url` that all lines of the file have.
        input_file_id: The id of a file with purpose `batch`: up to 50,000 lines and 200 MB.
        metadata: Up to 16 pairs to keep with the batch: keys to 64 characters, values to 512.
        output_expires_after: When the service shall delete the output files, such as
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
    """Look up one batch.

    Args:
        batch_id: The batch's id.

    Source: https://platform.openai.com/docs/api-reference/batch/retrieve
    """

    batch_id: str


@operation("batches.list", "GET", "/batches")
class ListBatches(Operation[Page[Batch]]):
    """List the batches, newest first.

    Args:
        after: The id of the last batch seen; the page begins after it.
        limit: At most so many batches a page; the service's default is 20.

    Source: https://platform.openai.com/docs/api-reference/batch/list
    """

    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None


@operation("batches.cancel", "POST", "/batches/{batch_id}/cancel")
class CancelBatch(Operation[Batch]):
    """End a batch early; what was answered within ten minutes is kept.

    Args:
        batch_id: The batch's id.

    Source: https://platform.openai.com/docs/api-reference/batch/cancel
    """

    batch_id: str
