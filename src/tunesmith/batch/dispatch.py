"""Shell of the core: sends rows, writes outcomes, and waits as the core decides."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from tunesmith.backends.base import Clock
from tunesmith.batch.commit import GroupCommit
from tunesmith.batch.core.attempts import OutcomeKind
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.decisions import (
    Decision,
    Finish,
    Record,
    Send,
    Skip,
    Stop,
    Sync,
    WaitUntil,
)
from tunesmith.batch.core.entries import Entry, RowSent
from tunesmith.batch.core.states import OpenRow
from tunesmith.batch.index import KeyIndex
from tunesmith.batch.journal import Journal
from tunesmith.batch.live import LiveSender
from tunesmith.batch.metrics import JobMetrics
from tunesmith.batch.output import OutputFiles
from tunesmith.batch.result_stream import Notifier, ResultStream
from tunesmith.batch.results import Result, RowError
from tunesmith.errors import DatasetError, DeadlineExceededError

__all__ = ["BatchExecutor", "Dispatcher"]

_MIN_SLEEP_S = 0.001
"""Resolution of clocks."""


class BatchExecutor(Protocol):
    """Executor of decisions about provider batches."""

    @property
    def is_calling(self) -> bool:
        """Whether a call is running; further calls wait for its end."""
        ...

    def execute(self, decision: Decision) -> None:
        """Execute a decision, or start to."""
        ...


class Dispatcher:
    """Executor of the core's decisions.

    Args:
        core: The core.
        clock: The clock.
        sender: Sends rows.
        journal: The journal.
        output: The output files.
        index: The table of keys.
        metrics: The metrics.
        stream: Results for an iteration over the job.
        sync: Makes everything safe from a power loss at once.
        fail: Receives an error that ends the job.
        on_stop: Called once no further request is started.
        on_space: Called when the core wants more rows.
        is_strict: Whether rows are sent only when their entries are safe from a power loss.

    Attributes:
        results: Results of rows whose outcome the core is processing.
        commit: Syncs the files.
        batches: Executes decisions about provider batches.
        message: Why the core stopped the job.
    """

    commit: GroupCommit
    batches: BatchExecutor | None = None

    def __init__(
        self,
        *,
        core: JobCore,
        clock: Clock,
        sender: LiveSender,
        journal: Journal,
        output: OutputFiles,
        index: KeyIndex,
        metrics: JobMetrics,
        stream: ResultStream,
        sync: Callable[[], None],
        fail: Callable[[Exception], None],
        on_stop: Callable[[], None],
        on_space: Callable[[], None],
        is_strict: bool = False,
    ) -> None:
        self._core = core
        self._clock = clock
        self._sender = sender
        self._journal = journal
        self._output = output
        self._index = index
        self._metrics = metrics
        self._stream = stream
        self._sync = sync
        self._fail = fail
        self._on_stop = on_stop
        self._on_space = on_space
        self._is_strict = is_strict
        self.results: dict[str, Result] = {}
        self.message = ""
        self._tasks: TaskGroup | None = None
        self._progress = Notifier()
        self._wake: float | None = None
        self._error: Exception | None = None

    # --- decisions ---

    def execute(self, decisions: Iterable[Decision]) -> None:  # noqa: C901 - one case a kind
        """Execute decisions in order; those about provider batches are started."""
        for decision in decisions:
            if isinstance(decision, Finish):
                self._finish(decision)
            elif isinstance(decision, Record):
                self.append(decision.entry)
            elif isinstance(decision, Send):
                if self._tasks is not None:
                    self._tasks.start_soon(self._work, decision.row)
            elif isinstance(decision, WaitUntil):
                self._wake = decision.time
            elif isinstance(decision, Sync):
                self._sync()
            elif isinstance(decision, Stop):
                self.message = self.message or decision.message
                if decision.reason == "error" and self._error is not None:
                    self._fail(self._error)
                self._on_stop()
                self._progress.notify()
            elif isinstance(decision, Skip):
                self._output.advance()
            elif self.batches is not None:
                self.batches.execute(decision)

    def append(self, entry: Entry) -> None:
        """Append an entry to the journal."""
        self._journal.append(entry)
        self.commit.mark_dirty(0)

    def notify(self) -> None:
        """Check again what can be done."""
        self._progress.notify()

    def _finish(self, decision: Finish) -> None:
        row, failure = decision.row, decision.failure
        result = self.results.pop(decision.key, None)
        if result is None and row is not None:  # it was never sent
            request = row.payload
            result = Result(row.key, request.line, request.endpoint, None, None, None)
        if result is None:
            return
        if row is not None and row.usage is not result.usage:
            result = replace(result, usage=row.usage)
        if failure is not None:
            error = RowError(failure.code, failure.message, decision.attempts)
            result = replace(result, error=error)
            self._metrics.on_failure(error)
        number = row.number if row is not None else None
        if number is None and (position := self._index.get_position(decision.key)):
            number = position[0]
        try:
            self._output.add(result, number)
        except DatasetError:
            self._core.on_unwritten(decision.key, is_answer=failure is None)
            raise
        self.commit.mark_dirty()

    # --- running ---

    async def run(self) -> None:
        """Work until nothing is left to do; requests in flight are finished."""
        async with anyio.create_task_group() as self._tasks:
            while not self._core.is_over:
                decisions = self._core.advance(self._clock.monotonic())
                self._wake = None
                self.execute(decisions)
                if self._core.state.needs_rows:
                    self._on_space()
                if any(isinstance(decision, Send) for decision in decisions):
                    await anyio.lowlevel.checkpoint()  # so that rows start in their order
                else:
                    await self._wait(self._wake)

    async def _wait(self, until: float | None) -> None:
        """Wait until a time, or for an event before it."""
        is_calling = self.batches is not None and self.batches.is_calling
        if until is None or (is_calling and self._core.is_live_idle):
            if not self._core.is_over:
                await self._progress.wait()
            return
        # Taken at once: rows may arrive before the task that waits for it has started.
        progress = self._progress.get_next()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_on_event, tasks.cancel_scope, progress)
            await self._clock.sleep(max(until - self._clock.monotonic(), _MIN_SLEEP_S))
            tasks.cancel_scope.cancel()

    async def _cancel_on_event(self, scope: anyio.CancelScope, event: anyio.Event) -> None:
        await event.wait()
        scope.cancel()

    async def _work(self, row: OpenRow | None) -> None:
        """Send a row, and then others as long as there is room for them."""
        try:
            while row is not None:
                await self._attempt(row)
                await self._stream.wait_for_space()
                row = self._next()
        except Exception as error:  # noqa: BLE001 - raised at the end
            self._fail(error)
        finally:
            self._progress.notify()

    def _next(self) -> OpenRow | None:
        """Return the next row to send, if one can be sent at once."""
        core = self._core
        row: OpenRow | None = None
        for decision in core.advance(self._clock.monotonic()):
            if isinstance(decision, Send) and row is None:
                row = decision.row
            elif not isinstance(decision, WaitUntil):
                self.execute((decision,))
        if core.state.needs_rows:
            self._on_space()
        if row is not None and core.live.has_room:
            self._progress.notify()  # for another worker
        return row

    async def _attempt(self, row: OpenRow) -> None:
        live = self._core.live
        try:
            self.append(RowSent(row.key, row.reserved))
        except DatasetError:
            live.on_abandoned(row, was_sent=False)
            raise
        try:
            if self._is_strict:
                await self.commit.wait_until_safe()
            attempt = await self._sender.send(row)
        except BaseException as error:
            self.execute(live.on_abandoned(row))
            if isinstance(error, DeadlineExceededError):
                self.execute(self._core.state.stop("deadline"))
            elif isinstance(error, Exception):  # of an API key function, say
                self._fail(error)
            else:
                raise
            return
        outcome = attempt.outcome
        self._core.state.throttle.learn(attempt.headers, outcome.now)
        if outcome.kind is OutcomeKind.COMPLETED or outcome.kind is OutcomeKind.INVALID:
            usage = row.reserved if outcome.usage is None else outcome.usage
            self._metrics.on_answer(outcome.now - row.sent_at, usage)
        self._error = attempt.error
        self.results[row.key] = attempt.result
        self.execute(live.on_outcome(row, outcome))
        self.results.pop(row.key, None)
