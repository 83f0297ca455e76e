"""The room of batches: files of requests, answered in the course of a day."""

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from tunesmith.clock import VirtualClock
from tunesmith.operations.batches import CancelBatch, CreateBatch, ListBatches, RetrieveBatch
from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.protocol.message import Request
from tunesmith.service.batches.input_file import BatchInput, read_batch_input
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.models import Models
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.scheduler import ScheduledAction, Scheduler
from tunesmith.service.core.store import Store
from tunesmith.service.core.threads import run_in_thread
from tunesmith.service.files.files import FileService
from tunesmith.types.base import Page
from tunesmith.types.batch_lines import (
    BatchLineError,
    BatchLineResponse,
    BatchRequestLine,
    BatchResponseLine,
)
from tunesmith.types.batches import (
    Batch,
    BatchError,
    BatchErrors,
    BatchRequestCounts,
    BatchUsage,
)

__all__ = ["BatchService", "BatchTiming"]

_SLICES = 20
_BYTES_PER_TOKEN = 4
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
class BatchTiming:
    """How long a batch takes, in seconds.

    Args:
        validating_s: Reading and checking the input file.
        request_s: Each request.
        finalizing_s: Writing the output files.
        cancelling_s: From cancelling to cancelled; the real service takes up to ten minutes.
        window_s: From creation to expiry.
    """

    validating_s: float = 5.0
    request_s: float = 1.0
    finalizing_s: float = 5.0
    cancelling_s: float = 60.0
    window_s: float = 24 * 3600.0


@dataclass(slots=True)
class _BatchRun:
    """What a batch that is not over has yet to do."""

    expires_after: ExpiresAfterParam | None
    next: ScheduledAction
    expiry: ScheduledAction | None = None
    model: str | None = None
    tokens: int = 0
    lines: Sequence[BatchRequestLine] = ()
    answered: list[BatchResponseLine] = field(default_factory=list[BatchResponseLine])


class BatchService:
    """Answers files of requests, in slices, as time goes on.

    Args:
        store: Keeps the batches.
        clock: Tells the time.
        ids: Makes the ids.
        schedule: Takes the batches forward.
        files: Has the input files and takes the output files.
        models: Knows which models there are.
        wire: Answers the requests of the lines, as if they came by themselves.
        pace: How long everything takes.
        behavior: What nobody knows.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: VirtualClock,
        ids: IdGenerator,
        schedule: Scheduler,
        files: FileService,
        models: Models,
        wire: HttpApi,
        pace: BatchTiming | None = None,
        behavior: ServiceBehavior | None = None,
    ) -> None:
        self._batches = store.collection("batches", Batch)
        self._clock = clock
        self._ids = ids
        self._schedule = schedule
        self._files = files
        self._models = models
        self._wire = wire
        self._pace = pace or BatchTiming()
        self._behavior = behavior or ServiceBehavior()
        self._runs: dict[str, _BatchRun] = {}

    async def create(self, operation: CreateBatch) -> Batch:
        """Begin a batch; what is wrong with its file shows when it has been read."""
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
            expires_at=int(now + self._pace.window_s),
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
        validate = self._step(batch.id, now + self._pace.validating_s, self._validate)
        self._runs[batch.id] = _BatchRun(operation.output_expires_after, next=validate)
        return batch

    async def retrieve(self, operation: RetrieveBatch) -> Batch:
        """Look up a batch."""
        return self._find(operation.batch_id)

    async def list(self, operation: ListBatches) -> Page[Batch]:
        """List the batches, newest first."""
        limit = validate_limit(operation.limit, default=_DEFAULT_PAGE, maximum=_MAX_PAGE)
        return to_page(self._batches.get_page(after=operation.after, limit=limit))

    async def cancel(self, operation: CancelBatch) -> Batch:
        """End a batch early; what has been answered is kept."""
        batch = self._find(operation.batch_id)
        if batch.status not in {"validating", "in_progress", "finalizing"}:
            raise ServiceError(409, f"Cannot cancel a batch with status '{batch.status}'.")
        now = self._clock.time()
        run = self._runs[batch.id]
        run.next.cancel()
        if run.expiry is not None:
            run.expiry.cancel()

        async def finish(id: str, at: float) -> None:
            self._finish(id, at, "cancelled", _CANCELLED)

        run.next = self._step(batch.id, now + self._pace.cancelling_s, finish)
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

    def _step(
        self, id: str, at: float, step: Callable[[str, float], Awaitable[None]]
    ) -> ScheduledAction:
        return self._schedule.call_at(at, lambda due_at: step(id, due_at))

    async def _validate(self, id: str, at: float) -> None:
        batch, run = self._find(id), self._runs[id]
        found = await self._read(batch)
        run.model, run.tokens = found.model, sum(map(_question_tokens, found.lines))
        enqueued = sum(r.tokens for r in self._runs.values() if r.model == run.model)
        most = self._behavior.enqueued_tokens
        if not found.errors and most is not None and enqueued > most:
            found.errors.append(_too_many_tokens(run.model, most))
        if found.errors:
            errors = BatchErrors(object="list", data=found.errors)
            self._update(id, status="failed", failed_at=int(at), errors=errors)
            del self._runs[id]
            return
        counts = BatchRequestCounts(total=len(found.lines), completed=0, failed=0)
        batch = self._update(
            id,
            status="in_progress",
            in_progress_at=int(at),
            model=found.model,
            request_counts=counts,
        )
        run.lines = found.lines
        run.expiry = self._step(id, (batch.created_at or at) + self._pace.window_s, self._expire)
        self._schedule_slice(id, at)

    async def _read(self, batch: Batch) -> BatchInput:
        try:
            content = b"".join(self._files.read(batch.input_file_id or ""))
        except ServiceError as gone:
            error = BatchError(
                code="invalid_input_file", message=gone.message, param="input_file_id", line=None
            )
            return BatchInput(errors=[error])
        return await run_in_thread(
            self._clock,
            lambda: read_batch_input(
                content, endpoint=batch.endpoint or "", has_model=self._models.exists
            ),
        )

    def _schedule_slice(self, id: str, at: float) -> None:
        run = self._runs[id]
        size = min(_slice_size(run), len(run.lines) - len(run.answered))
        run.next = self._step(id, at + size * self._pace.request_s, self._answer_slice)

    async def _answer_slice(self, id: str, at: float) -> None:
        run = self._runs[id]
        done = len(run.answered)
        with self._clock.hold():
            answered = [
                await self._answer_line(line) for line in run.lines[done : done + _slice_size(run)]
            ]
        run.answered += answered
        self._update(id, request_counts=_counts(run))
        if len(run.answered) < len(run.lines):
            self._schedule_slice(id, at)
            return

        async def finish(id: str, at: float) -> None:
            self._finish(id, at, "completed", _EXPIRED)

        if run.expiry is not None:
            run.expiry.cancel()
        self._update(id, status="finalizing", finalizing_at=int(at))
        run.next = self._step(id, at + self._pace.finalizing_s, finish)

    async def _answer_line(self, line: BatchRequestLine) -> BatchResponseLine:
        request = Request(
            operation="batches.line",
            method=line.method,
            path=line.url.removeprefix("/v1"),
            headers={"content-type": "application/json"},
            # A line has one answer, not a stream.
            body=to_json({**line.body, "stream": None}),
        )
        async with self._wire.handle(request) as response:
            answered = BatchLineResponse(
                status_code=response.status,
                request_id=response.headers["x-request-id"],
                body=from_json(await response.read()),
            )
        return BatchResponseLine(
            id=self._ids.new("batch_request"),
            custom_id=line.custom_id,
            response=answered,
            error=None,
        )

    async def _expire(self, id: str, at: float) -> None:
        self._runs[id].next.cancel()
        self._finish(id, at, "expired", _EXPIRED)

    def _finish(self, id: str, at: float, status: str, unexecuted_error: BatchLineError) -> None:
        run = self._runs.pop(id)
        lines = run.answered + [
            BatchResponseLine(
                id=self._ids.new("batch_request"),
                custom_id=line.custom_id,
                response=None,
                error=unexecuted_error,
            )
            for line in run.lines[len(run.answered) :]
        ]
        # The order of the answers is not guaranteed, so nobody shall come to rely on it.
        random.Random(id).shuffle(lines)  # noqa: S311 - no secret
        self._update(
            id,
            **{"status": status, f"{status}_at": int(at)},
            output_file_id=self._write(id, at, run, "output", [x for x in lines if x.is_success]),
            error_file_id=self._write(id, at, run, "error", [x for x in lines if not x.is_success]),
            usage=_usage(run.answered) if run.answered else None,
        )

    def _write(
        self, id: str, at: float, run: _BatchRun, kind: str, lines: Iterable[BatchResponseLine]
    ) -> str | None:
        content = [line.model_dump_json(exclude_unset=True).encode() + b"\n" for line in lines]
        if not content:
            return "" if self._behavior.empty_file_ids else None
        filename = f"{id}_{kind}.jsonl"
        return self._files.add(
            content, filename, "batch_output", at=at, expires=run.expires_after
        ).id


def _question_tokens(line: BatchRequestLine) -> int:
    return len(to_json(line.body)) // _BYTES_PER_TOKEN + 1


def _too_many_tokens(model: str | None, most: int) -> BatchError:
    return BatchError(
        code="token_limit_exceeded",
        message=f"Enqueued token limit reached for {model}. Limit: {most:,} enqueued tokens. "
        "Please try again once some in_progress batches have been completed.",
        param=None,
        line=None,
    )


def _slice_size(run: _BatchRun) -> int:
    return max(1, len(run.lines) // _SLICES)


def _counts(run: _BatchRun) -> BatchRequestCounts:
    completed = sum(line.is_success for line in run.answered)
    return BatchRequestCounts(
        total=len(run.lines), completed=completed, failed=len(run.answered) - completed
    )


def _usage(lines: Iterable[BatchResponseLine]) -> BatchUsage:
    counts = [_token_counts(line) for line in lines]
    read, written = sum(count[0] for count in counts), sum(count[1] for count in counts)
    return BatchUsage(
        input_tokens=read,
        input_tokens_details={"cached_tokens": 0},
        output_tokens=written,
        output_tokens_details={"reasoning_tokens": 0},
        total_tokens=read + written,
    )


def _token_counts(line: BatchResponseLine) -> tuple[int, int]:
    body: Any = line.response.body if line.response else None
    usage: dict[str, Any] = body.get("usage") or {}
    return usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
