"""The shell for provider batches: shards are written, uploaded, watched and collected."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup, TaskStatus

from tunesmith.batch.batch_api.batches import (
    cancel_batch,
    find_batches,
    is_transient,
    metadata_of,
)
from tunesmith.batch.batch_api.collector import Collector
from tunesmith.batch.batch_api.shard_files import ShardWriter, read_rows
from tunesmith.batch.budget import BudgetTracker
from tunesmith.batch.core import decisions as do
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.entries import ShardWritten
from tunesmith.batch.core.states import Failure, Shard
from tunesmith.batch.index import KeyIndex
from tunesmith.batch.options import BatchApiOptions
from tunesmith.batch.output import JobPaths
from tunesmith.batch.result_stream import Notifier
from tunesmith.batch.row_queue import open_row
from tunesmith.calls.deadline import Deadline
from tunesmith.client import AsyncClient
from tunesmith.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    BackendError,
    InsufficientQuotaError,
    NotFoundError,
    TunesmithError,
)
from tunesmith.operations.batches import CreateBatch
from tunesmith.protocol.retry import RetryPolicy
from tunesmith.types.batches import Batch, BatchError

__all__ = ["BatchApiRunner"]

_DELETION_S = 30.0
_SLICE = 256
_MAX_CALLS = 8
"""Calls in progress at once, for all batches of the job."""

_REFUSED_FOR_SURE = frozenset({400, 401, 403, 404, 405, 409, 413, 422, 429})
_UNREACHABLE_PHASES = frozenset({"connect", "connect_timeout", "closed"})

Call = Callable[..., Awaitable[None]]

_log = logging.getLogger("tunesmith.batch")


class BatchApiRunner:
    """Executor of the core's decisions about provider batches.

    Args:
        client: The client to call the service with.
        core: The core.
        paths: The files of the job.
        job: The name of the job.
        index: Table of keys.
        budget: Prices, for the maximum cost of a row.
        options: Settings of batches.
        deadline: The end of the job, which bounds every call.
        collector: Reader of result files.
        execute: Function that executes decisions of the core.
        notify: Function that wakes the core.
        fail: Takes an error that ends the job.
        pause: Waits until more outcomes are welcome.
        next_shard: The number of the next shard.
    """

    def __init__(
        self,
        *,
        client: AsyncClient,
        core: JobCore,
        paths: JobPaths,
        job: str,
        index: KeyIndex,
        budget: BudgetTracker,
        options: BatchApiOptions,
        deadline: Deadline,
        collector: Collector,
        execute: Callable[[Iterable[do.Decision]], None],
        notify: Callable[[], None],
        fail: Callable[[Exception], None],
        pause: Callable[[], Awaitable[None]],
        next_shard: int,
    ) -> None:
        self._client = client
        self._once = client.caller.with_policy(
            replace(client.caller.policy, retry=RetryPolicy(max_retries=0))
        )
        self._clock = client.caller.clock
        self._core = core
        self._batches = core.batches
        self._paths = paths
        self._job = job
        self._index = index
        self._budget = budget
        self._options = options
        self._deadline = deadline
        self._collector = collector
        self._execute = execute
        self._notify = notify
        self._fail = fail
        self._pause = pause
        self._writer = ShardWriter(
            self._path,
            options.limits,
            core.batches.quota.limit,
            self._on_written,
            self._clock.time,
            next_shard,
        )
        self._space = Notifier()
        self._finishing: anyio.Event
        self._finished: anyio.Event
        self._tasks: TaskGroup | None = None
        self._permits = anyio.Semaphore(_MAX_CALLS)
        self._calls = 0
        self._tasks_of: Mapping[do.Task, Call] = {
            do.Task.UPLOAD: self._upload,
            do.Task.CREATE: self._create,
            do.Task.LOOK_UP: self._look_up,
            do.Task.POLL: self._poll,
            do.Task.CANCEL: self._cancel,
            do.Task.DOWNLOAD: self._download,
            do.Task.SWEEP: self._sweep,
            do.Task.DELETE_FILES: self._delete,
        }

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Make calls until `finish`, or until the job stops."""
        self._finishing, self._finished = anyio.Event(), anyio.Event()
        try:
            async with anyio.create_task_group() as self._tasks:
                task_status.started()
                await self._finishing.wait()
        finally:
            self._tasks = None
            self._finished.set()

    async def finish(self) -> None:
        """Wait for the calls in progress, and end."""
        self._finishing.set()
        await self._finished.wait()

    def stop(self) -> None:
        """Abandon the calls that were begun, and the rows that are in no whole file."""
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        self._writer.discard()
        self._batches.discard_open()
        self.notify_space()

    @property
    def is_calling(self) -> bool:
        """Whether calls are in progress."""
        return self._calls > 0

    def notify_space(self) -> None:
        """Check again whether rows are wanted."""
        self._space.notify()

    def execute(self, decision: do.Decision) -> None:
        """Execute a decision, or start to."""
        match decision:
            case do.WriteToShard(row, attempt):
                self._batches.on_row_written(row, self._writer.add(row, attempt))
            case do.CloseFiles():
                self._writer.flush()
            case do.CancelDuplicate(batch_id):
                self._begin(self._cancel_duplicate, batch_id)
            case do.Work(task, shard):
                if task is do.Task.DELETE_FILES:
                    self._path(shard.number).unlink(missing_ok=True)
                    if self._options.keep_files:
                        return
                self._begin(self._tasks_of[task], shard)
            case _:
                pass

    def _path(self, number: int) -> Path:
        return self._paths.shard(self._job, number)

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    def _on_written(self, entry: ShardWritten) -> None:
        self._execute(self._batches.on_written(entry))

    # --- calls ---

    def _begin(self, call: Call, subject: Shard | str) -> None:
        """Start a call; a sweep needs no permit, since it may wait for other calls to make room."""
        if self._tasks is None or self._core.state.stopped is not None:
            return
        if call == self._sweep:
            self._tasks.start_soon(self._call, call, subject)
        else:
            self._calls += 1
            self._tasks.start_soon(self._call_with_permit, call, subject)

    async def _call_with_permit(self, call: Call, subject: Shard | str) -> None:
        try:
            async with self._permits:
                await self._call(call, subject)
        finally:
            self._calls -= 1
            self._notify()

    async def _call(self, call: Call, subject: Shard | str) -> None:
        remaining_s = self._deadline.remaining_s
        try:
            bound = nullcontext() if remaining_s is None else self._clock.fail_after(remaining_s)
            with bound:
                await call(subject)
        except InsufficientQuotaError:
            self._execute(self._core.state.stop("quota"))
        except TimeoutError:
            self._execute(self._core.state.stop("deadline"))
        except TunesmithError as error:
            if not is_transient(error):
                self._fail(error)
            elif isinstance(subject, Shard):
                _log.warning("%s; the job continues.", error)
                failure = Failure("call_failed", str(error))
                self._execute(self._batches.on_call_failed(subject, failure, self._now))
        except Exception as error:  # noqa: BLE001 - raised at the end
            self._fail(error)
        finally:
            self._notify()

    async def _upload(self, shard: Shard) -> None:
        name = f"{self._job}-{shard.number}.jsonl"
        path = self._path(shard.number)
        with self._file_io():
            file = await self._client.files.upload(path, purpose="batch", filename=name)
        self._execute(self._batches.on_uploaded(shard, file.id))

    async def _create(self, shard: Shard) -> None:
        """Create the batch, once: whether it exists must be known before the next attempt."""
        operation = CreateBatch(
            completion_window="24h",
            endpoint=shard.kind.url,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            input_file_id=shard.file_id or "",
            metadata=metadata_of(self._job, shard.number),
        )
        try:
            batch = await self._once.call(operation)
        except InsufficientQuotaError:
            raise
        except APIError as error:
            may_exist = _may_exist(error)
            if not may_exist and not is_transient(error):
                raise
            _log.warning("%s; the job continues.", error)
            failure = Failure("create_failed", str(error))
            decisions = self._batches.on_create_failed(
                shard, failure, self._now, may_exist=may_exist
            )
        else:
            decisions = self._batches.on_created(shard, batch.id, self._now)
        self._execute(decisions)

    async def _look_up(self, shard: Shard) -> None:
        ids = await find_batches(self._client, self._job, shard)
        self._execute(self._batches.on_listed(shard, ids, self._now))

    async def _poll(self, shard: Shard) -> None:
        try:
            batch = await self._client.batches.retrieve(shard.batch_id or "")
        except NotFoundError:
            self._execute(self._batches.on_gone(shard, self._now))
            return
        self._on_polled(shard, batch)

    async def _cancel(self, shard: Shard) -> None:
        try:
            batch = await self._client.batches.retrieve(shard.batch_id or "")
            batch = await cancel_batch(self._client, batch)
        except NotFoundError:
            self._execute(self._batches.on_gone(shard, self._now))
            return
        self._on_polled(shard, batch)

    def _on_polled(self, shard: Shard, batch: Batch) -> None:
        if not batch.is_over:
            self._batches.on_polled(shard, self._now)
            return
        counts = batch.request_counts
        is_counted = counts is not None and counts.total > 0
        # A field of another type is kept raw.
        errors: list[BatchError] = getattr(batch.errors, "data", None) or []
        failures = tuple(
            (
                None if _affects_all_rows(error.param, error.code) else error.line,
                Failure(error.code or "batch_failed", error.message or "no reason given"),
            )
            for error in errors
        )
        if batch.status == "failed":
            words = dict.fromkeys(f"{f.code}: {f.message}" for _, f in failures[:5])
            _log.warning("Batch %s failed: %s", batch.id, "; ".join(words) or "no reason given")
        decisions = self._batches.on_ended(
            shard,
            batch.status,
            self._now,
            output_file_id=str(batch.output_file_id or "") or None,
            error_file_id=str(batch.error_file_id or "") or None,
            completed=counts.completed if counts is not None and is_counted else None,
            failed=counts.failed if counts is not None and is_counted else 0,
            errors=failures,
        )
        self._execute(decisions)

    async def _cancel_duplicate(self, batch_id: str) -> None:
        _log.warning("Batch %s is a second one of the same rows: it is cancelled.", batch_id)
        await cancel_batch(self._client, await self._client.batches.retrieve(batch_id))

    async def _download(self, shard: Shard) -> None:
        path = self._path(shard.number).with_suffix(".results.jsonl")
        with self._file_io():
            await self._collector.collect(shard, path, self._pause)

    def _file_io(self) -> AbstractContextManager[None]:
        """Keep a virtual clock from running ahead of files that are read in threads."""
        external_io = getattr(self._clock, "external_io", nullcontext)
        context: AbstractContextManager[None] = external_io()
        return context

    async def _sweep(self, shard: Shard) -> None:
        """Decide on each row of a finished shard that has no result."""
        state = self._core.state
        rows = read_rows(self._path(shard.number), shard.kind.url)
        for count, request in enumerate(rows, 1):
            while not (state.wants_rows or self._core.batches.is_cancelling):
                await self._space.wait()
            position = self._index.get_position(request.key)
            number, line = position or (-1, 0)
            correct = self._collector.retry_bodies.pop(request.key, None)
            body = correct(request.body) if correct is not None else request.body
            row = open_row(request._replace(line=line, body=body), number, self._budget)
            self._execute(self._batches.on_left_over(shard, row, request.line))
            if not count % _SLICE:
                self._notify()
                await anyio.lowlevel.checkpoint()
        self._execute(self._batches.on_swept(shard))

    async def _delete(self, shard: Shard) -> None:
        """Delete the files of a batch at the service; one that remains is only logged."""
        for file_id in (shard.file_id, shard.output_file_id, shard.error_file_id):
            try:
                if file_id:
                    with self._clock.fail_after(_DELETION_S):
                        await self._client.files.delete(file_id)
            except Exception as error:
                if isinstance(error, TunesmithError) and not isinstance(error, APIError):
                    raise
                _log.info("File %s was not deleted: %s", file_id, error)


def _may_exist(error: APIError) -> bool:
    """Return whether the service may have created the batch."""
    if isinstance(error, APIStatusError):
        return error.status not in _REFUSED_FOR_SURE
    cause = error.__cause__
    never_arrived = isinstance(cause, BackendError) and cause.phase in _UNREACHABLE_PHASES
    return not (isinstance(error, APIConnectionError) and never_arrived)


def _affects_all_rows(param: str | None, code: str | None) -> bool:
    """Return whether what is wrong with a line is wrong with all: they name the same model."""
    return "model" in (param or "") or "model" in (code or "")
