"""Batches: files of requests, processed within a day."""

import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import anyio

from tunesmith.operations.batches import CancelBatch, CreateBatch, ListBatches, RetrieveBatch
from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.service.batches.counts import (
    add_counts,
    estimate_tokens,
    slice_size,
    sum_usage,
    token_limit_error,
)
from tunesmith.service.batches.input_file import BatchInput, read_batch_input
from tunesmith.service.batches.sending import BatchTiming, LineSender
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.scheduler import ScheduledAction
from tunesmith.service.core.store import Collection
from tunesmith.service.files.files import FileService
from tunesmith.service.inference.models import Models
from tunesmith.types.base import Page
from tunesmith.types.batch_lines import (
    BatchLineError,
    BatchRequestLine,
    BatchResponseLine,
)
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
    """

    expires_after: ExpiresAfterParam | None
    step: Literal["validate", "send", "complete", "cancel"]
    due_at: float
    model: str | None = None
    tokens: int = 0


class BatchService:
    """Batches, whose requests are processed in slices over time.

    Args:
        context: Dependencies shared by all parts of the service.
        files: Input and output files.
        models: The models.
        sender: Sends the requests.
        concurrency: Number of requests at a time to a server behind this one; None if the engine
            answers.
    """

    def __init__(
        self,
        context: ServiceContext,
        files: FileService,
        models: Models,
        sender: LineSender,
        concurrency: int | None = None,
    ) -> None:
        self._store = context.store
        self._clock = context.clock
        self._ids = context.ids
        self._schedule = context.scheduler
        self._behavior = context.behavior
        self._files = files
        self._models = models
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

    def _lines(self, id: str) -> Collection[BatchRequestLine]:
        return self._store.collection("batch_lines", BatchRequestLine, parent_id=id)

    def _responses(self, id: str) -> Collection[BatchResponseLine]:
        return self._store.collection("batch_responses", BatchResponseLine, parent_id=id)

    def _schedule_step(self, id: str, run: _BatchRun) -> None:
        steps: dict[str, Callable[[str, float], Awaitable[None]]] = {
            "validate": self._validate,
            "send": self._send_slice if self._concurrency is None else self._send_all,
            "complete": self._complete,
            "cancel": self._finish_cancelled,
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
        content = await self._read_input(batch)
        self._schedule.check_cancelled()
        tokens = sum(map(estimate_tokens, content.lines))
        run = replace(self._run(id), model=content.model, tokens=tokens)
        runs = self._runs.get_page().records
        enqueued = tokens + sum(other.tokens for other in runs if other.model == run.model)
        limit = self._behavior.enqueued_tokens
        if not content.errors and limit is not None and enqueued > limit:
            content.errors.append(token_limit_error(run.model, limit))
        if content.errors:
            errors = BatchErrors(object="list", data=content.errors)
            self._update(id, status="failed", failed_at=int(now), errors=errors)
            self._remove_run(id)
            return
        batch = self._update(
            id,
            status="in_progress",
            in_progress_at=int(now),
            model=content.model,
            request_counts=BatchRequestCounts(total=len(content.lines), completed=0, failed=0),
        )
        lines = self._lines(id)
        for number, line in enumerate(content.lines):
            lines.put(str(number), line)
        self._schedule_expiry(batch)
        self._schedule_slice(id, run, now)

    async def _read_input(self, batch: Batch) -> BatchInput:
        try:
            content = b"".join(self._files.read(batch.input_file_id or ""))
        except ServiceError as missing:
            error = BatchError(
                code="invalid_input_file", message=missing.message, param="input_file_id", line=None
            )
            return BatchInput(errors=[error])
        return await self._clock.run_in_thread(
            lambda: read_batch_input(
                content,
                endpoint=batch.endpoint or "",
                has_model=None if self._concurrency else self._models.exists,
            )
        )

    def _schedule_slice(self, id: str, run: _BatchRun, now: float) -> None:
        n_lines = len(self._lines(id))
        size = min(slice_size(n_lines), n_lines - len(self._responses(id)))
        due_at = now + size * self._timing.request_s
        self._schedule_step(id, replace(run, step="send", due_at=due_at))

    async def _send_slice(self, id: str, now: float) -> None:
        lines, responses = self._lines(id), self._responses(id)
        n_lines, n_sent = len(lines), len(responses)
        page = lines.get_page(
            after=str(n_sent - 1) if n_sent else None,
            limit=slice_size(n_lines),
            newest_first=False,
        )
        with self._clock.hold():
            new = [await self._sender.send(line) for line in page.records]
        self._schedule.check_cancelled()
        for number, response in enumerate(new, n_sent):
            responses.put(str(number), response)
        self._update(id, request_counts=add_counts(self._find(id).request_counts, new))
        run = self._run(id)
        if n_sent + len(new) < n_lines:
            self._schedule_slice(id, run, now)
            return
        self._finalize(id, run, now)

    async def _send_all(self, id: str, now: float) -> None:
        """Send all requests without a response, several at a time, and store each response."""
        responses = self._responses(id)
        numbered = self._unsent(id)

        async def send_some() -> None:
            for number, line in numbered:
                response = await self._sender.send_persistently(line)
                if self._schedule.is_cancelled or responses.get(number) is not None:
                    return
                responses.put(number, response)
                counts = add_counts(self._find(id).request_counts, [response])
                self._update(id, request_counts=counts)
                self._schedule.commit()

        with self._clock.hold():
            async with anyio.create_task_group() as tasks:
                for _ in range(self._concurrency or 1):
                    tasks.start_soon(send_some)
        self._schedule.check_cancelled()
        self._finalize(
            id, self._run(id), self._clock.time() if self._schedule.is_background else now
        )

    def _unsent(self, id: str) -> Iterator[tuple[str, BatchRequestLine]]:
        lines, responses = self._lines(id), self._responses(id)
        for number in range(len(lines)):
            line = lines.get(str(number))
            if line is not None and responses.get(str(number)) is None:
                if self._schedule.is_cancelled:
                    return
                yield str(number), line

    def _finalize(self, id: str, run: _BatchRun, now: float) -> None:
        self._cancel_scheduled(id)
        self._update(id, status="finalizing", finalizing_at=int(now))
        due_at = now + self._timing.finalizing_s
        self._schedule_step(id, replace(run, step="complete", due_at=due_at))

    async def _complete(self, id: str, now: float) -> None:
        self._finish(id, now, "completed", _EXPIRED)

    async def _finish_cancelled(self, id: str, now: float) -> None:
        self._finish(id, now, "cancelled", _CANCELLED)

    async def _expire(self, id: str, now: float) -> None:
        self._finish(id, now, "expired", _EXPIRED)

    def _finish(self, id: str, now: float, status: str, unexecuted_error: BatchLineError) -> None:
        run = self._run(id)
        stored = self._responses(id)
        responses = stored.get_page(newest_first=False).records
        requests = self._lines(id).get_page(newest_first=False).records
        unexecuted = [
            line for number, line in enumerate(requests) if stored.get(str(number)) is None
        ]
        lines = responses + [
            BatchResponseLine(
                id=self._ids.new("batch_request"),
                custom_id=line.custom_id,
                response=None,
                error=unexecuted_error,
            )
            for line in unexecuted
        ]
        # The API does not guarantee an order, so clients must not come to rely on one.
        random.Random(id).shuffle(lines)  # noqa: S311 - not a secret
        self._update(
            id,
            **{"status": status, f"{status}_at": int(now)},
            output_file_id=self._write(id, now, run, "output", [x for x in lines if x.is_success]),
            error_file_id=self._write(
                id, now, run, "error", [x for x in lines if not x.is_success]
            ),
            usage=sum_usage(responses) if responses else None,
        )
        self._remove_run(id)

    def _remove_run(self, id: str) -> None:
        self._cancel_scheduled(id)
        self._runs.delete(id)
        lines, responses = self._lines(id), self._responses(id)
        for number in range(len(lines)):
            lines.delete(str(number))
            responses.delete(str(number))

    def _write(
        self, id: str, now: float, run: _BatchRun, kind: str, lines: Iterable[BatchResponseLine]
    ) -> str | None:
        content = [line.model_dump_json(exclude_unset=True).encode() + b"\n" for line in lines]
        if not content:
            return "" if self._behavior.empty_file_ids else None
        filename = f"{id}_{kind}.jsonl"
        return self._files.add(
            content, filename, "batch_output", timestamp=now, expires_after=run.expires_after
        ).id
