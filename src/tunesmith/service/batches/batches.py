"""Batches: files of requests, processed within a day."""

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
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.scheduler import ScheduledAction, Scheduler
from tunesmith.service.core.store import Store
from tunesmith.service.files.files import FileService
from tunesmith.service.inference.models import Models
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
    """Durations of the steps of a batch, in seconds.

    Args:
        validating_s: Validation of the input file.
        request_s: Each request.
        finalizing_s: Writing of the output files.
        cancelling_s: Cancellation; up to ten minutes in the real service.
        window_s: Time from creation to expiry.
    """

    validating_s: float = 5.0
    request_s: float = 1.0
    finalizing_s: float = 5.0
    cancelling_s: float = 60.0
    window_s: float = 24 * 3600.0

    def at_speed(self, speed: float) -> "BatchTiming":
        """Return a copy whose durations, except for the expiry, are divided by a speed."""
        return BatchTiming(
            self.validating_s / speed,
            self.request_s / speed,
            self.finalizing_s / speed,
            self.cancelling_s / speed,
            self.window_s,
        )


@dataclass(slots=True)
class _BatchRun:
    """State of a batch in progress."""

    expires_after: ExpiresAfterParam | None
    next: ScheduledAction
    expiry: ScheduledAction | None = None
    model: str | None = None
    tokens: int = 0
    lines: Sequence[BatchRequestLine] = ()
    responses: list[BatchResponseLine] = field(default_factory=list[BatchResponseLine])


class BatchService:
    """Batches, whose requests are processed in slices over time.

    Args:
        store: Store of the batches.
        clock: The clock.
        ids: Generator of ids.
        schedule: Scheduler of the steps.
        files: Input and output files.
        models: The models.
        http_api: The API that processes the requests, as if each were sent on its own.
        timing: Durations of the steps.
        behavior: Undocumented behavior of the API.
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
        http_api: HttpApi,
        timing: BatchTiming | None = None,
        behavior: ServiceBehavior | None = None,
    ) -> None:
        self._batches = store.collection("batches", Batch)
        self._clock = clock
        self._ids = ids
        self._schedule = schedule
        self._files = files
        self._models = models
        self._http_api = http_api
        self._timing = timing or BatchTiming()
        self._behavior = behavior or ServiceBehavior()
        self._runs: dict[str, _BatchRun] = {}

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
        validate = self._step(batch.id, now + self._timing.validating_s, self._validate)
        self._runs[batch.id] = _BatchRun(operation.output_expires_after, next=validate)
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
        run = self._runs[batch.id]
        run.next.cancel()
        if run.expiry is not None:
            run.expiry.cancel()

        async def finish(id: str, now: float) -> None:
            self._finish(id, now, "cancelled", _CANCELLED)

        run.next = self._step(batch.id, now + self._timing.cancelling_s, finish)
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
        self, id: str, due_at: float, step: Callable[[str, float], Awaitable[None]]
    ) -> ScheduledAction:
        return self._schedule.call_at(due_at, lambda now: step(id, now))

    async def _validate(self, id: str, now: float) -> None:
        batch, run = self._find(id), self._runs[id]
        content = await self._read_input(batch)
        self._schedule.check_cancelled()
        run.model, run.tokens = content.model, sum(map(_estimate_tokens, content.lines))
        enqueued = sum(r.tokens for r in self._runs.values() if r.model == run.model)
        limit = self._behavior.enqueued_tokens
        if not content.errors and limit is not None and enqueued > limit:
            content.errors.append(_too_many_tokens(run.model, limit))
        if content.errors:
            errors = BatchErrors(object="list", data=content.errors)
            self._update(id, status="failed", failed_at=int(now), errors=errors)
            del self._runs[id]
            return
        counts = BatchRequestCounts(total=len(content.lines), completed=0, failed=0)
        batch = self._update(
            id,
            status="in_progress",
            in_progress_at=int(now),
            model=content.model,
            request_counts=counts,
        )
        run.lines = content.lines
        run.expiry = self._step(id, (batch.created_at or now) + self._timing.window_s, self._expire)
        self._schedule_slice(id, now)

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
                content, endpoint=batch.endpoint or "", has_model=self._models.exists
            )
        )

    def _schedule_slice(self, id: str, now: float) -> None:
        run = self._runs[id]
        size = min(_slice_size(run), len(run.lines) - len(run.responses))
        run.next = self._step(id, now + size * self._timing.request_s, self._send_slice)

    async def _send_slice(self, id: str, now: float) -> None:
        run = self._runs[id]
        start = len(run.responses)
        with self._clock.hold():
            responses = [
                await self._send_line(line) for line in run.lines[start : start + _slice_size(run)]
            ]
        self._schedule.check_cancelled()
        run.responses += responses
        self._update(id, request_counts=_counts(run))
        if len(run.responses) < len(run.lines):
            self._schedule_slice(id, now)
            return

        async def finish(id: str, now: float) -> None:
            self._finish(id, now, "completed", _EXPIRED)

        if run.expiry is not None:
            run.expiry.cancel()
        self._update(id, status="finalizing", finalizing_at=int(now))
        run.next = self._step(id, now + self._timing.finalizing_s, finish)

    async def _send_line(self, line: BatchRequestLine) -> BatchResponseLine:
        request = Request(
            operation="batches.line",
            method=line.method,
            path=line.url.removeprefix("/v1"),
            headers={"content-type": "application/json"},
            # Responses in a batch are not streamed.
            body=to_json({**line.body, "stream": None}),
        )
        async with self._http_api.send(request) as response:
            line_response = BatchLineResponse(
                status_code=response.status,
                request_id=response.headers["x-request-id"],
                body=from_json(await response.read()),
            )
        return BatchResponseLine(
            id=self._ids.new("batch_request"),
            custom_id=line.custom_id,
            response=line_response,
            error=None,
        )

    async def _expire(self, id: str, now: float) -> None:
        self._runs[id].next.cancel()
        self._finish(id, now, "expired", _EXPIRED)

    def _finish(self, id: str, now: float, status: str, unexecuted_error: BatchLineError) -> None:
        run = self._runs.pop(id)
        lines = run.responses + [
            BatchResponseLine(
                id=self._ids.new("batch_request"),
                custom_id=line.custom_id,
                response=None,
                error=unexecuted_error,
            )
            for line in run.lines[len(run.responses) :]
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
            usage=_usage(run.responses) if run.responses else None,
        )

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


def _estimate_tokens(line: BatchRequestLine) -> int:
    return len(to_json(line.body)) // _BYTES_PER_TOKEN + 1


def _too_many_tokens(model: str | None, limit: int) -> BatchError:
    return BatchError(
        code="token_limit_exceeded",
        message=f"Enqueued token limit reached for {model}. Limit: {limit:,} enqueued tokens. "
        "Please try again once some in_progress batches have been completed.",
        param=None,
        line=None,
    )


def _slice_size(run: _BatchRun) -> int:
    return max(1, len(run.lines) // _SLICES)


def _counts(run: _BatchRun) -> BatchRequestCounts:
    completed = sum(line.is_success for line in run.responses)
    return BatchRequestCounts(
        total=len(run.lines), completed=completed, failed=len(run.responses) - completed
    )


def _usage(lines: Iterable[BatchResponseLine]) -> BatchUsage:
    counts = [_token_counts(line) for line in lines]
    input_tokens = sum(count[0] for count in counts)
    output_tokens = sum(count[1] for count in counts)
    return BatchUsage(
        input_tokens=input_tokens,
        input_tokens_details={"cached_tokens": 0},
        output_tokens=output_tokens,
        output_tokens_details={"reasoning_tokens": 0},
        total_tokens=input_tokens + output_tokens,
    )


def _token_counts(line: BatchResponseLine) -> tuple[int, int]:
    body: Any = line.response.body if line.response else None
    usage: dict[str, Any] = body.get("usage") or {}
    if "input_tokens" in usage:  # of the Responses API
        return usage["input_tokens"], usage["output_tokens"]
    return usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
