"""What a batch has made of its rows: downloaded, and merged into the job's files by custom_id."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio.lowlevel
from pydantic import ValidationError

from tunesmith.batch.endpoints import endpoint_of
from tunesmith.batch.index import KeyIndex, RowStatus
from tunesmith.batch.response_validation import ResponseValidator
from tunesmith.batch.results import Result, RowError, Usage
from tunesmith.batch.row_queue import RowQueue
from tunesmith.batch.rows import RequestRow
from tunesmith.batch.shards import Shard, read_rows
from tunesmith.client import AsyncClient
from tunesmith.errors import DatasetError, InvalidResponseError
from tunesmith.protocol.retry import RetryPolicy, retry_delay
from tunesmith.types.batch_lines import BatchResponseLine
from tunesmith.types.batches import Batch

__all__ = ["CollectedOutcome", "Collector", "PendingRows"]

_CANCELLED = "batch_cancelled"
_NOT_DONE = frozenset({"batch_expired", "batch_cancelled"})
_SLICE = 256
"""After so many rows, others get their turn."""


PendingRows = dict[str, Callable[[bytes], bytes] | None]


@dataclass(slots=True)
class CollectedOutcome:
    """What came of a batch.

    Args:
        pending: The keys of rows that have no outcome yet; for those that shall be asked otherwise
            when they are sent again, what makes the new body of the old one.
        paid: The tokens that were paid.
        rejected_usage: Those of them that were paid for answers which do not fit, and are in no
            file.
    """

    pending: PendingRows
    paid: Usage = field(default_factory=Usage)
    rejected_usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Collector:
    """Gives rows the outcome that a batch has for them.

    Args:
        client: Downloads.
        index: Knows which rows have their outcome already, and where they stand in the source.
        feeder: Counts rows that are not in the source any more.
        retry: Which failures are tried again.
        fitting: What answers must fit; None for anything.
        finish: Takes the outcome of a row.
        pause: Waits until more outcomes are welcome.
    """

    client: AsyncClient
    index: KeyIndex
    feeder: RowQueue
    retry: RetryPolicy
    fitting: ResponseValidator | None
    finish: Callable[[RequestRow, Result], None]
    pause: Callable[[], Awaitable[None]]

    async def collect(self, shard: Shard, batch: Batch) -> CollectedOutcome:
        """Take the outcomes from the batch's files; rows in neither are undone.

        Raises:
            APIError: A file cannot be downloaded.
            DatasetError: A file cannot be read or written.
        """
        found = CollectedOutcome(dict.fromkeys(self.pending(shard)))
        async with AsyncExitStack() as stack:
            for kind, file_id in (
                ("output", batch.output_file_id),
                ("errors", batch.error_file_id),
            ):
                if not file_id:  # null, or an empty string
                    continue
                path = shard.download_path(kind)
                stack.callback(path.unlink, missing_ok=True)
                await self.client.files.content(file_id).write_to(path)
                await self._merge(shard, path, found)
        return found

    def pending(self, shard: Shard) -> Iterator[str]:
        """The keys of the shard's rows that have no outcome, and are in no later shard."""
        for key in shard.read_keys():
            known = self.index.get(key)
            if known.state is RowStatus.IN_BATCH and known.offset == shard.number:
                yield key

    def rows(self, shard: Shard, wanted: Callable[[str], bool]) -> Iterator[RequestRow]:
        """Read rows of a shard again, each with its place in the source."""
        for row in read_rows(shard):
            if wanted(row.key):
                number, line = self._position(row.key)
                yield row._replace(number=number, line=line)

    def fail(self, row: RequestRow, error: RowError) -> None:
        """Give a row an error for its outcome."""
        self._finished(row, Result(row.key, row.line, row.endpoint, None, None, None, error=error))

    async def _merge(self, shard: Shard, path: Path, found: CollectedOutcome) -> None:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                if not raw.strip():
                    continue
                try:
                    line = BatchResponseLine.model_validate_json(raw)
                except ValidationError as error:
                    raise DatasetError(
                        "The service wrote a line that is no outcome of a row.",
                        file=path.name,
                        line=number,
                        remedy=f"Look at the files of {shard.batch_id}.",
                    ) from error
                if line.custom_id in found.pending:
                    self._take(shard, line, found)
                    await self.pause()
                if not number % _SLICE:
                    await anyio.lowlevel.checkpoint()

    def _take(self, shard: Shard, line: BatchResponseLine, found: CollectedOutcome) -> None:
        endpoint = endpoint_of(shard.url)
        result = Result.from_line(line, number=0, endpoint=endpoint)
        found.paid += result.usage
        if result.error is not None:
            result = replace(result, error=replace(result.error, attempts=shard.attempt))
            if self._is_transient(shard, result):
                return
        elif self.fitting is not None and line.response is not None:
            answer: dict[str, Any] = line.response.body
            try:
                result = replace(result, parsed=self.fitting.parse(answer))
            except InvalidResponseError as problem:
                cut = self.fitting.is_truncated(answer)
                if not cut and shard.attempt <= self.retry.max_retries:
                    found.rejected_usage += result.usage
                    found.pending[result.key] = partial(
                        self.fitting.build_retry_body, answer=answer, problem=problem
                    )
                    return
                error = RowError("does_not_fit", problem.message, shard.attempt)
                result = replace(result, error=error)
        del found.pending[result.key]
        number, place = self._position(result.key)
        row = RequestRow(result.key, place, endpoint, b"", None, number)
        self._finished(row, replace(result, line=place))

    def _is_transient(self, shard: Shard, result: Result) -> bool:
        """Whether a failure may not happen again."""
        error = result.error
        if error is None:
            return False
        if error.code == _CANCELLED:
            return True
        if shard.attempt > self.retry.max_retries:
            return False
        if error.code in _NOT_DONE:
            return True
        pause_s = retry_delay(
            self.retry, shard.attempt, status=result.status, code=error.code, now=0.0, random=0.0
        )
        return pause_s is not None

    def _finished(self, row: RequestRow, result: Result) -> None:
        self.finish(row, result)
        self.index.update([(row.key, RowStatus.DONE if result.ok else RowStatus.FAILED, 0, 0)])

    def _position(self, key: str) -> tuple[int, int]:
        place = self.index.get_position(key)
        if place is None:  # it was paid, though it is not in the source any more
            place = (self.feeder.seen, 0)
            self.feeder.seen += 1
            self.index.set_position(key, *place)
        return place
