"""Requests of a batch in progress, their responses, and the files made of both."""

import random
from collections.abc import Iterator
from hashlib import sha256

from tunesmith.service.core.store import Store
from tunesmith.service.files.json_lines import lines_with_ends
from tunesmith.types.batch_lines import BatchLineError, BatchRequestLine, BatchResponseLine

__all__ = ["BatchProgress", "encode_line"]


class BatchProgress:
    """Requests and responses of one batch, which are never all in memory.

    Args:
        store: Storage of both.
        batch_id: The batch.
    """

    def __init__(self, store: Store, batch_id: str) -> None:
        self._store = store
        self._id = batch_id
        self._responses = store.collection("batch_responses", BatchResponseLine, parent_id=batch_id)

    def keep_requests(self, blob_id: str) -> None:
        """Keep the input file, which may be deleted while the batch is in progress."""
        self._store.link(blob_id, self._id)

    def delete(self) -> None:
        """Delete the requests and responses."""
        self._store.delete_blob(self._id)
        self._responses.clear()

    @property
    def n_responses(self) -> int:
        """Number of responses so far."""
        return len(self._responses)

    def requests(self, offset: int = 0) -> Iterator[tuple[BatchRequestLine, int]]:
        """Yield requests in order, each with the offset of the next one in the file.

        Args:
            offset: Offset of the first one, in bytes.
        """
        for line, end in lines_with_ends(self._store.read(self._id, offset), offset):
            yield BatchRequestLine.model_validate_json(line), end

    def unsent(self) -> Iterator[tuple[int, BatchRequestLine]]:
        """Yield the requests without a response, with their numbers from 0."""
        for number, (request, _) in enumerate(self.requests()):
            if self._responses.get(str(number)) is None:
                yield number, request

    def add(self, number: int, response: BatchResponseLine) -> None:
        """Store the response of a request."""
        self._responses.put(str(number), response)

    def responses(self, total: int, *, successful: bool) -> Iterator[BatchResponseLine]:
        """Yield the responses that succeeded, or those that failed.

        Args:
            total: Number of requests.
            successful: Which of them.
        """
        # The API does not guarantee an order, so clients must not come to rely on one.
        numbers = list(range(total))
        random.Random(self._id).shuffle(numbers)  # noqa: S311 - not a secret
        for number in numbers:
            response = self._responses.get(str(number))
            if response is not None and response.is_success == successful:
                yield response

    def unexecuted(self, error: BatchLineError) -> Iterator[BatchResponseLine]:
        """Yield an error for each request without a response."""
        for number, request in self.unsent():
            digest = sha256(f"{self._id}:{number}".encode()).hexdigest()
            yield BatchResponseLine(
                id=f"batch_req_{digest[:32]}",
                custom_id=request.custom_id,
                response=None,
                error=error,
            )


def encode_line(line: BatchResponseLine) -> bytes:
    """Return a line of a file."""
    return line.model_dump_json(exclude_unset=True).encode() + b"\n"
