"""Batches: files of requests, processed within a day."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from typing import Any, Literal

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from tunesmith.operations.batches import CancelBatch, CreateBatch, ListBatches, RetrieveBatch
from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.service.batches.counts import (
    UsageCounter,
    add_counts,
    slice_size,
    token_limit_error,
)
from tunesmith.service.batches.input_file import BatchInput, validate_batch_input
from tunesmith.service.batches.progress import BatchProgress, encode_line
from tunesmith.service.batches.sending import BatchTiming, LineSender
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.scheduler import ScheduledAction
from tunesmith.service.files.files import FileService
from tunesmith.types.base import Page
from tunesmith.types.batch_lines import BatchLineError, BatchResponseLine
from tunesmith.types.batches import Batch, BatchError, BatchErrors, BatchRequestCounts

__all__ = ["BatchService", "BatchTiming"]

_DEFAULT_PAGE = 20
_MAX_PAGE = 100
_EXPIRED = BatchLineError(
    code="batch_expired",
    message="This request could not be executed before the completion window expired.",
)
_CANCELLED = BatchLineError(
    code="batch_cancelled", message="This request was not executed: the batch was cancelled."
)


@dataclass(frozen=True, slots=True)
class _BatchRun:
    """Stored state of a batch in progress.

    Args:
        expires_after: Expiry of the output files.
        step: The step that is due next.
        due_at: Unix time at which it is due.
        model: The model of all requests.
        tokens: Estimated number of input tokens.
        offset: Offset of the next request in the input file, in bytes.
    """

    expires_after: ExpiresAfterParam | None
    step: Literal["validate", "send", "complete", "cancel", "expire"]
    due_at: float
    model: str | None = None
    tokens: int = 0
    offset: int = 0


class BatchService:
    """Batches, whose requests are processed in slices over time.

    Args:
        context: Dependencies shared by all parts of the service.
        files: Input and output files.
        has_model: Returns whether a model exists; None if another server decides.
        sender: Sends the requests.
        concurrency: Number of requests at a time, each of which is stored when it has a response;
            None to process them in slices, which take virtual time.
    """

    def __init__(
        self,
        context: ServiceContext,
        files: FileService,
        *,
        has_model: Callable[[str], bool] | None,
        sender: LineSender,
        concurrency: int | None = None,
    ) -> None:
        self._store = context.store
        self._clock = context.clock
        self._ids = context.ids
        self._schedule = context.scheduler
        self._behavior = context.behavior
        self._files = files
        self._has_model = has_model
        self._sender = sender
        self._timing = sender.timing
        self._concurrency = concurrency
        self._batches = self._store.collection("batches", Batch)
        self._runs = self._store.collection("batch_runs", _BatchRun)
        self._scheduled: dict[str, list[ScheduledAction]] = {}
        for batch in self._batches.get_page(newest_first=False).records:
            run = self._runs.get(batch.id)
            if run is not None:
                self._schedule_step(batch.id, run)
                if batch.status == "in_progress":
                    self._schedule_expiry(batch)

    @handles(CreateBatch)
    async def create(self, operation: CreateBatch) -> Batch:
        """Create a batch; errors of its file are found when it is validated."""
        file = self._files.find(operation.input_file_id)
        if file.purpose != "batch":
            raise invalid(
                f"The file '{file.id}' has the purpose '{file.purpose}', not 'batch'.",
                "input_file_id",
            )
        now = self._clock.time()
        batch = Batch(
            id=self._ids.new("batch"),
            object="batch",
            status="validating",
            endpoint=operation.endpoint,
            model=None,
            errors=None,
            input_file_id=file.id,
            completion_window=operation.completion_window,
            output_file_id=None,
            error_file_id=None,
            created_at=int(now),
            in_progress_at=None,
            expires_at=int(now + self._timing.window_s),
            finalizing_at=None,
            completed_at=None,
            failed_at=None,
            expired_at=None,
            cancelling_at=None,
            cancelled_at=None,
            request_counts=BatchRequestCounts(total=0, completed=0, failed=0),
            usage=None,
            metadata=dict(operation.metadata) if operation.metadata else None,
        )
        self._batches.put(batch.id, batch)
        due_at = now + self._timing.validating_s
        self._schedule_step(batch.id, _BatchRun(operation.output_expires_after, "validate", due_at))
        return batch

    @handles(RetrieveBatch)
    async def retrieve(self, operation: RetrieveBatch) -> Batch:
        """Retrieve a batch."""
        return self._find(operation.batch_id)

    @handles(ListBatches)
    async def list(self, operation: ListBatches) -> Page[Batch]:
        """List the batches, newest first."""
        limit = validate_limit(operation.limit, default=_DEFAULT_PAGE, maximum=_MAX_PAGE)
        return to_page(self._batches.get_page(after=operation.after, limit=limit))

    @handles(CancelBatch)
    async def cancel(self, operation: CancelBatch) -> Batch:
        """Cancel a batch; the responses so far are kept."""
        batch = self._find(operation.batch_id)
        if batch.status not in {"validating", "in_progress", "finalizing"}:
            raise ServiceError(409, f"Cannot cancel a batch with status '{batch.status}'.")
        now = self._clock.time()
        due_at = now + self._timing.cancelling_s
        run = replace(self._run(batch.id), step="cancel", due_at=due_at)
        self._cancel_scheduled(batch.id)
        self._schedule_step(batch.id, run)
        return self._update(batch.id, status="cancelling", cancelling_at=int(now))

    def _find(self, id: str) -> Batch:
        batch = self._batches.get(id)
        if batch is None:
            raise ServiceError(404, f"No batch found with id '{id}'.")
        return batch

    def _update(self, id: str, **changes: Any) -> Batch:
        batch = self._find(id).model_copy(update=changes)
        self._batches.put(id, batch)
        return batch

    def _run(self, id: str) -> _BatchRun:
        run = self._runs.get(id)
        assert run is not None  # noqa: S101 - the batch is in progress
        return run

    def _progress(self, id: str) -> BatchProgress:
        return BatchProgress(self._store, id)

    def _schedule_step(self, id: str, run: _BatchRun) -> None:
        steps: dict[str, Callable[[str, float], Awaitable[None]]] = {
            "validate": self._validate,
            "send": self._send_slice if self._concurrency is None else self._send_all,
            "complete": self._complete,
            "cancel": self._finish_cancelled,
            "expire": self._finish_expired,
        }
        self._runs.put(id, run)
        self._schedule_call(id, run.due_at, steps[run.step])

    def _schedule_expiry(self, batch: Batch) -> None:
        expires_at = (batch.created_at or 0) + self._timing.window_s
        self._schedule_call(batch.id, expires_at, self._expire)

    def _schedule_call(
        self, id: str, due_at: float, step: Callable[[str, float], Awaitable[None]]
    ) -> None:
        scheduled = self._schedule.call_at(due_at, lambda now: step(id, now))
        self._scheduled.setdefault(id, []).append(scheduled)

    def _cancel_scheduled(self, id: str) -> None:
        for scheduled in self._scheduled.pop(id, []):
            scheduled.cancel()

    async def _validate(self, id: str, now: float) -> None:
        batch = self._find(id)
        content = await self._validate_input(batch)
        self._schedule.check_cancelled()
        run = replace(self._run(id), model=content.model, tokens=content.tokens)
        runs = self._runs.get_page().records
        enqueued = run.tokens + sum(other.tokens for other in runs if other.model == run.model)
        limit = self._behavior.enqueued_tokens
        if not content.errors and limit is not None and enqueued > limit:
            content.errors.append(token_limit_error(run.model, limit))
        if content.errors:
            errors = BatchErrors(object="list", data=content.errors)
            self._update(id, status="failed", failed_at=int(now), errors=errors)
            self._remove_run(id)
            return
        self._progress(id).keep_requests(batch.input_file_id or "")
        batch = self._update(
            id,
            status="in_progress",
            in_progress_at=int(now),
            model=content.model,
            request_counts=BatchRequestCounts(total=content.n_requests, completed=0, failed=0),
        )
        self._schedule_expiry(batch)
        self._schedule_slice(batch, run, now)

    async def _validate_input(self, batch: Batch) -> BatchInput:
        file_id, endpoint = batch.input_file_id or "", batch.endpoint or ""
        has_model = self._has_model
        try:
            chunks = self._files.read(file_id)
            result = await self._clock.run_in_thread(
                lambda: validate_batch_input(chunks, endpoint=endpoint, has_model=has_model)
            )
            self._files.find(file_id)  # it may have been deleted meanwhile
        except ServiceError as missing:
            error = BatchError(
                code="invalid_input_file", message=missing.message, param="input_file_id", line=None
            )
            return BatchInput(errors=[error])
        return result

    def _schedule_slice(self, batch: Batch, run: _BatchRun, now: float) -> None:
        if self._concurrency is None:
            n_left = _total(batch) - self._progress(batch.id).n_responses
            now += min(slice_size(_total(batch)), n_left) * self._timing.request_s
        self._schedule_step(batch.id, replace(run, step="send", due_at=now))

    async def _send_slice(self, id: str, now: float) -> None:
        progress, run, total = self._progress(id), self._run(id), _total(self._find(id))
        requests = list(islice(progress.requests(run.offset), slice_size(total)))
        new: list[BatchResponseLine] = []
        with self._clock.hold():
            for request, _ in requests:
                new.append(await self._sender.send(request))
                self._schedule.check_cancelled()
        n_sent = progress.n_responses
        for number, response in enumerate(new, n_sent):
            progress.add(number, response)
        batch = self._update(id, request_counts=add_counts(self._find(id).request_counts, new))
        run = replace(self._run(id), offset=requests[-1][1])
        if n_sent + len(new) < total:
            self._schedule_slice(batch, run, now)
            return
        self._finalize(id, run, now)

    async def _send_all(self, id: str, now: float) -> None:
        """Send all requests without a response, several at a time, and store each response."""
        unsent = self._progress(id).unsent()
        send_stream, receive_stream = anyio.create_memory_object_stream[
            tuple[int, BatchResponseLine]
        ](inf)

        async def send_some() -> None:
            for number, request in unsent:
                response = await self._sender.send_persistently(request)
                if self._schedule.is_cancelled:
                    return
                # The next request need not wait until the response is stored.
                send_stream.send_nowait((number, response))

        with self._clock.hold(), receive_stream:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._store_responses, id, receive_stream)
                async with send_stream, anyio.create_task_group() as senders:
                    for _ in range(self._concurrency or 1):
                        senders.start_soon(send_some)
        self._schedule.check_cancelled()
        is_real = self._schedule.is_background
        self._finalize(id, self._run(id), self._clock.time() if is_real else now)

    async def _store_responses(
        self, id: str, receive_stream: MemoryObjectReceiveStream[tuple[int, BatchResponseLine]]
    ) -> None:
        progress = self._progress(id)
        async for first in receive_stream:
            arrived = dict([first])
            with suppress(anyio.WouldBlock, anyio.EndOfStream):
                while True:
                    arrived.update([receive_stream.receive_nowait()])
            if self._schedule.is_cancelled:
                return
            for number, response in arrived.items():
                progress.add(number, response)
            counts = add_counts(self._find(id).request_counts, [*arrived.values()])
            self._update(id, request_counts=counts)
            self._schedule.commit()

    def _finalize(self, id: str, run: _BatchRun, now: float) -> None:
        self._cancel_scheduled(id)
        self._update(id, status="finalizing", finalizing_at=int(now))
        due_at = now + self._timing.finalizing_s
        self._schedule_step(id, replace(run, step="complete", due_at=due_at))

    async def _complete(self, id: str, now: float) -> None:
        await self._finish(id, now, "completed", _EXPIRED)

    async def _finish_cancelled(self, id: str, now: float) -> None:
        await self._finish(id, now, "cancelled", _CANCELLED)

    async def _finish_expired(self, id: str, now: float) -> None:
        await self._finish(id, now, "expired", _EXPIRED)

    async def _expire(self, id: str, now: float) -> None:
        run = self._run(id)
        self._cancel_scheduled(id)  # requests that are being sent
        self._schedule_step(id, replace(run, step="expire", due_at=now))

    async def _finish(self, id: str, now: float, status: str, reason: BatchLineError) -> None:
        """Write the files of a batch.

        Args:
            id: The batch.
            now: The time.
            status: Its final status.
            reason: Error of the requests that were not executed.
        """
        batch, progress, usage = self._find(id), self._progress(id), UsageCounter()
        total, n_responses = _total(batch), progress.n_responses

        def lines(*, successful: bool) -> Iterator[bytes]:
            for line in progress.responses(total, successful=successful):
                usage.add(line)
                yield encode_line(line)
            if not successful and n_responses < total:
                yield from map(encode_line, progress.unexecuted(reason))

        async def write(*, successful: bool) -> str:
            return await self._files.write(
                lambda blob_id: self._store.write(blob_id, lines(successful=successful))
            )

        n_completed = (batch.request_counts and batch.request_counts.completed) or 0
        output = await write(successful=True) if n_completed else None
        error = await write(successful=False) if n_completed < total else None
        self._schedule.check_cancelled()
        changes: dict[str, Any] = {"status": status, f"{status}_at": int(now)}
        for kind, blob_id in (("output", output), ("error", error)):
            changes[f"{kind}_file_id"] = self._add_file(id, now, kind, blob_id)
        self._update(id, **changes, usage=usage.total() if n_responses else None)
        self._remove_run(id)

    def _remove_run(self, id: str) -> None:
        self._cancel_scheduled(id)
        self._runs.delete(id)
        self._progress(id).delete()

    def _add_file(self, id: str, now: float, kind: str, blob_id: str | None) -> str | None:
        if blob_id is None:
            return "" if self._behavior.empty_file_ids else None
        expiry = self._run(id).expires_after
        filename = f"{id}_{kind}.jsonl"
        return self._files.add_written(
            blob_id, filename, "batch_output", timestamp=now, expires_after=expiry
        ).id


def _total(batch: Batch) -> int:
    counts = batch.request_counts
    return 0 if counts is None else counts.total or 0
