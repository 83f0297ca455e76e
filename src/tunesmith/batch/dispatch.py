"""The shell around the core: time and answers go in, what it decides is done."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from tunesmith.backends.base import Clock
from tunesmith.batch.commit import GroupCommit
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
from tunesmith.batch.core.entries import Entry
from tunesmith.batch.core.events import (
    Event,
    RowCutOff,
    RowFailed,
    RowUnwritten,
    StopAsked,
    TimePassed,
)
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
"""No clock need tell shorter times apart."""


class BatchExecutor(Protocol):
    """Executor of the decisions that are about provider batches."""

    @property
    def is_calling(self) -> bool:
        """Whether a call is being made; further ones wait for its end."""
        ...

    def execute(self, decision: Decision) -> None:
        """Perform a decision, or begin to."""
        ...


class Dispatcher:
    """Feeds the core, and performs its decisions.

    Args:
        core: The core.
        clock: The clock.
        sender: Sends rows.
        journal: Takes entries.
        output: Takes outcomes.
        index: Table of keys.
        metrics: Counts.
        stream: Takes results for whoever iterates.
        sync: Makes everything safe from a power loss at once.
        fail: Takes an error that ends the job.
        on_stop: Called once nothing more is to be begun.
        on_space: Called when more rows are wanted.

    Attributes:
        results: Results of rows whose outcome the core is deciding on.
        commit: Makes safe what was written.
        batches: Performs decisions about provider batches.
        is_strict: Whether rows are sent only when their entries are safe from a power loss.
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
        self.is_strict = is_strict
        self.results: dict[str, Result] = {}
        self.message = ""
        self._tasks: TaskGroup | None = None
        self._progress = Notifier()
        self._wake: float | None = None
        self._error: Exception | None = None

    # --- events and decisions ---

    def handle(self, event: Event) -> None:
        """Give the core an event, and perform what it decides."""
        self.execute(self._core.handle(event))

    def execute(self, decisions: Iterable[Decision]) -> None:  # noqa: C901 - one case a kind
        """Perform decisions in order; those about provider batches are begun."""
        for decision in decisions:
            if isinstance(decision, Finish):
                self._finish(decision)
            elif isinstance(decision, Record):
                self.append(decision.entry)
            elif isinstance(decision, Send):
                if self._tasks is not None:
                    self._tasks.start_soon(self._work, decision)
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
        """Write an entry of the journal."""
        self._journal.append(entry)
        self.commit.mark_dirty(0)

    def notify(self) -> None:
        """Have the core look again at what can be done."""
        self._progress.notify()

    def _finish(self, decision: Finish) -> None:
        row, failure = decision.row, decision.failure
        result = self.results.pop(decision.key, None)
        if result is None and row is not None:  # it was never sent
            request = row.payload
            result = Result(row.key, request.line, request.endpoint, None, None, None)
        if result is None:
            return
        if row is not None and row.usage != result.usage:
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
            self._core.handle(RowUnwritten(decision.key, is_answer=failure is None))
            raise
        self.commit.mark_dirty()

    # --- running ---

    async def run(self) -> None:
        """Work until nothing is left to be done; what is in flight is finished."""
        async with anyio.create_task_group() as self._tasks:
            while not self._core.is_over:
                decisions = self._core.handle(TimePassed(self._clock.monotonic()))
                self._wake = None
                self.execute(decisions)
                if self._core.state.wants_rows:
                    self._on_space()
                if any(isinstance(decision, Send) for decision in decisions):
                    await anyio.lowlevel.checkpoint()  # so that rows start in their order
                else:
                    await self._wait(self._wake)

    async def _wait(self, until: float | None) -> None:
        """Wait for a time, or for anything that happens before."""
        is_calling = self.batches is not None and self.batches.is_calling
        if until is None or (is_calling and self._core.is_live_idle):
            if not self._core.is_over:
                await self._progress.wait()
            return
        # Taken at once: rows may arrive before the task that waits for it has begun.
        progress = self._progress.get_next()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_on_event, tasks.cancel_scope, progress)
            await self._clock.sleep(max(until - self._clock.monotonic(), _MIN_SLEEP_S))
            tasks.cancel_scope.cancel()

    async def _cancel_on_event(self, scope: anyio.CancelScope, event: anyio.Event) -> None:
        await event.wait()
        scope.cancel()

    async def _work(self, send: Send | None) -> None:
        """Send a row, and then others as long as there is room for them."""
        try:
            while send is not None:
                await self._attempt(send)
                await self._stream.wait_for_space()
                send = self._next()
        except Exception as error:  # noqa: BLE001 - raised at the end
            self._fail(error)
        finally:
            self._progress.notify()

    def _next(self) -> Send | None:
        """Return the next row to send, if one can be sent at once."""
        core = self._core
        own: Send | None = None
        for decision in core.handle(TimePassed(self._clock.monotonic())):
            if isinstance(decision, Send) and own is None:
                own = decision
            elif not isinstance(decision, WaitUntil):
                self.execute((decision,))
        if core.state.wants_rows:
            self._on_space()
        if own is not None and core.live.has_room:
            self._progress.notify()  # for another worker
        return own

    async def _attempt(self, send: Send) -> None:
        row = send.row
        try:
            self.append(send.entry)
        except DatasetError:
            self._core.handle(RowCutOff(row.key, self._clock.monotonic(), was_sent=False))
            raise
        try:
            if self.is_strict:
                await self.commit.wait_until_safe()
            attempt = await self._sender.send(row)
        except BaseException as error:
            self.handle(RowCutOff(row.key, self._clock.monotonic()))
            if isinstance(error, DeadlineExceededError):
                self.handle(StopAsked("deadline"))
            elif isinstance(error, Exception):  # of an API key function, say
                self._fail(error)
            else:
                raise
            return
        pace, event = self._core.state.pace, attempt.event
        pace.learn(attempt.headers, event.now)
        if not isinstance(event, RowFailed) and attempt.latency_s is not None:
            usage = row.reserved if event.usage is None else event.usage
            self._metrics.on_answer(attempt.latency_s, usage)
        self._error = attempt.error
        self.results[row.key] = attempt.result
        self.handle(event)
        self.results.pop(row.key, None)
