"""Run of a job: files are opened and restored, rows are processed, and the end is reported."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from tunesmith.batch.budget import BudgetTracker
from tunesmith.batch.commit import GroupCommit
from tunesmith.batch.concurrency import AdaptiveConcurrency
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.decisions import StopReason
from tunesmith.batch.core.entries import RunBegun, RunEnded
from tunesmith.batch.core.ledger import Ledger
from tunesmith.batch.core.state import CoreOptions, JobState
from tunesmith.batch.core.throttle import Throttle
from tunesmith.batch.dispatch import Dispatcher
from tunesmith.batch.index import KeyIndex
from tunesmith.batch.journal import Journal
from tunesmith.batch.live import LiveSender, validate
from tunesmith.batch.metrics import JobMetrics
from tunesmith.batch.options import RunOptions
from tunesmith.batch.output import JobPaths, OutputFiles
from tunesmith.batch.report import BatchReport, Progress
from tunesmith.batch.requests import RequestBuilder
from tunesmith.batch.result_stream import ResultStream
from tunesmith.batch.results import Result, parse_body
from tunesmith.batch.row_queue import RowQueue
from tunesmith.batch.row_source import RowSource
from tunesmith.batch.summary import make_progress, make_report
from tunesmith.calls.deadline import Deadline
from tunesmith.client import AsyncClient
from tunesmith.errors import ConfigurationError, DatasetError

if TYPE_CHECKING:  # loaded by the jobs that need them
    from tunesmith.batch.batch_api.runner import BatchApiRunner
    from tunesmith.batch.response_validation import ResponseValidator

__all__ = ["JobRun"]


class JobRun:
    """Run of a job; creating it opens the files and restores the state of earlier runs.

    Args:
        paths: Paths of the files.
        rows: The source.
        build: Builds requests from its rows.
        client: The client.
        options: Options of the job.
        stream: Results for an iteration over the job.

    Attributes:
        error: The error that ended the job.

    Raises:
        ConfigurationError: The output exists without `resume`, belongs to another job, or is used
            by another run.
        DatasetError: A file cannot be opened, or is damaged.
    """

    def __init__(
        self,
        paths: JobPaths,
        rows: RowSource,
        build: RequestBuilder,
        client: AsyncClient,
        options: RunOptions,
        stream: ResultStream,
    ) -> None:
        self.paths = paths
        self.options = options
        self._stream = stream
        self._caller = client.caller
        self.clock = client.caller.clock
        self._began_at = self.clock.monotonic()
        self.budget = BudgetTracker(options.budget, options.prices, options.model)
        validator = _make_validator(options.response_format)
        self.error: Exception | None = None
        paths.check(options.settings, resume=options.resume)
        self._is_new = not any(path.stat().st_size for path in paths.existing)
        existed = set(paths.existing)
        with ExitStack() as opened:
            opened.callback(self._remove_new, existed)
            self.index = KeyIndex()
            opened.callback(self.index.close)
            self.core = self._make_core()
            self.journal = Journal(paths.journal)
            opened.callback(self.journal.log.close)
            self.output = OutputFiles(
                paths,
                self.index,
                stream.put,
                lambda result: _parse(validator, result),
                is_ordered=options.order == "input",
            )
            opened.callback(self.output.close)
            self._restore()
            self.total = rows.count_rows()
            self.journal.append(RunBegun(self.total, self.clock.time(), options.to_dict()))
            self._opened = opened.pop_all()
        self.metrics = JobMetrics(self._began_at)
        self._deadline = Deadline(self.clock, options.deadline_s, "batch")
        self.dispatcher = Dispatcher(
            core=self.core,
            clock=self.clock,
            sender=LiveSender(
                self._caller,
                self._deadline,
                options.timeout_s or self._caller.policy.timeout_s,
                validator,
            ),
            journal=self.journal,
            output=self.output,
            index=self.index,
            metrics=self.metrics,
            stream=stream,
            sync=self._sync_now,
            fail=self.fail,
            on_stop=self._on_stop,
            on_space=self._on_space,
            is_strict=options.fsync_interval_s == 0,
        )
        self.dispatcher.commit = self._commit = GroupCommit(
            self._sync, interval_s=options.fsync_interval_s, rows=options.fsync_rows
        )
        self.row_queue = RowQueue(
            rows,
            build,
            self.index,
            self.budget,
            self.core,
            self.dispatcher.execute,
            stream.wait_for_space,
            lambda: self.output.buffered,
            has_positions=options.order == "input" or self._uses_batches,
        )
        self.batches = self._make_batches(client, validator) if self._uses_batches else None
        self.dispatcher.batches = self.batches

    @property
    def _uses_batches(self) -> bool:
        return self.options.mode != "live"

    def _make_core(self) -> JobCore:
        options = self.options
        now = self._began_at
        timeout_s = options.provider.batch_timeout_s
        return JobCore(
            JobState(
                CoreOptions(
                    max_retries=options.max_retries,
                    max_failed=options.max_failed,
                    deadline=inf if options.deadline_s is None else now + options.deadline_s,
                    uses_batches=self._uses_batches,
                    falls_back=options.mode == "auto",
                    batches_until=inf if timeout_s is None else now + timeout_s,
                    poll_s=options.provider.poll_s,
                    enqueued_tokens=options.provider.limits.enqueued_tokens,
                ),
                Ledger(None if options.budget is None else self.budget.allows),
                Throttle(options.pacing, AdaptiveConcurrency(options.concurrency)),
                self.index,
            )
        )

    def _make_batches(
        self, client: AsyncClient, validator: "ResponseValidator | None"
    ) -> "BatchApiRunner":
        from tunesmith.batch.batch_api.collector import Collector  # noqa: PLC0415
        from tunesmith.batch.batch_api.runner import BatchApiRunner  # noqa: PLC0415

        collector = Collector(
            client,
            self.core,
            self.index,
            self.metrics,
            validator,
            self.dispatcher.results,
            self.dispatcher.execute,
        )
        return BatchApiRunner(
            client=client,
            core=self.core,
            paths=self.paths,
            job=self._job,
            index=self.index,
            budget=self.budget,
            options=self.options.provider,
            deadline=self._deadline,
            collector=collector,
            execute=self.dispatcher.execute,
            notify=self.dispatcher.notify,
            fail=self.fail,
            pause=self._stream.wait_for_space,
            next_shard=self.journal.next_shard,
        )

    # --- opening ---

    def _restore(self) -> None:
        """Restore the state of the core from the files; nothing is changed before."""
        core, journal = self.core, self.journal
        journal.replay(core)
        if core.batches.shards and not self._uses_batches:
            raise ConfigurationError(
                f"rows of {self.paths.journal} are in batches at the service: resume with "
                "mode='batch' or mode='auto', which collects them, also after they were cancelled"
            )
        self._job = journal.begin(self.paths.target.name, self.options.settings).job
        if self._uses_batches:
            self._restore_shards()
        if self.options.retry_failed:
            for line in self.output.errors.recover():
                journal.append(core.requeue(str(line.data.get("custom_id"))).entry)
            self.journal.log.sync()
            self.output.clear_errors()
        self.output.restore(core, journal)
        core.finish_restore()
        self.output.sync()
        journal.log.sync()

    def _restore_shards(self) -> None:
        """Restore the rows of shards that are not closed, and remove files of other shards."""
        from tunesmith.batch.batch_api.shard_files import read_keys  # noqa: PLC0415

        shards = self.core.batches.shards
        for path in self.paths.shards(self._job):
            if path not in {self.paths.shard(self._job, number) for number in shards}:
                path.unlink(missing_ok=True)
        for number in sorted(shards):
            for key in read_keys(self.paths.shard(self._job, number)):
                self.core.restore_shard_row(shards[number], key)

    def _remove_new(self, existed: set[Path]) -> None:
        """Remove the files that a refused run created."""
        for path in self.paths.existing:
            if path not in existed and not path.stat().st_size:
                path.unlink(missing_ok=True)

    # --- running ---

    async def work(self) -> None:
        """Process all rows; `error` holds an error of the whole job."""
        self.output.is_wanted = self._stream.is_wanted
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run_guarded, self._commit.run)
            tasks.start_soon(self._run_guarded, self._read_rows)
            if self.batches is not None:
                await tasks.start(self.batches.run)
            await self._run_guarded(self.dispatcher.run)
            if self.batches is not None:
                await self.batches.finish()
            tasks.cancel_scope.cancel()

    async def _read_rows(self) -> None:
        await self.row_queue.run(self.dispatcher.notify)

    async def _run_guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the source is the user's; raised at the end
            self.fail(error)

    async def _sync(self) -> None:
        returning = self.core.ledger.returning
        await anyio.to_thread.run_sync(self._sync_files)
        self.core.ledger.release(returning)

    def _sync_now(self) -> None:
        returning = self.core.ledger.returning
        self._sync_files()
        self.core.ledger.release(returning)

    def _sync_files(self) -> None:
        # Outcomes first, since an entry may rely on them.
        self.output.sync()
        self.journal.log.sync()

    def _on_stop(self) -> None:
        self.row_queue.notify_space()
        if self.batches is not None:
            self.batches.stop()

    def _on_space(self) -> None:
        self.row_queue.notify_space()
        if self.batches is not None:
            self.batches.notify_space()

    def stop(self, reason: StopReason) -> None:
        """Stop the run; requests in flight are finished."""
        self.dispatcher.execute(self.core.state.stop(reason))

    def fail(self, error: Exception) -> None:
        """Stop the run with an error; requests in flight are finished."""
        self.error = self.error or error
        self.stop("error")

    def discard_results(self) -> None:
        """Discard results for an iteration."""
        self.output.is_wanted = False
        self._stream.discard()

    def poll_now(self) -> None:
        """Poll the batches now."""
        self.core.poll_now()
        self.dispatcher.notify()

    def cancel(self) -> None:
        """Cancel all batches; their results are collected."""
        self.dispatcher.execute(self.core.cancel())
        self.dispatcher.notify()

    # --- the end ---

    def end(self) -> BatchReport:
        """Write the report and the ordered output; blocks."""
        if not self.core.is_over:  # a source or a callback raised a cancellation
            self.core.state.stop("interrupted")
        report = make_report(self)
        try:
            self._sync_files()
            self.journal.append(RunEnded(report.to_dict()))
            if not self.is_abandoned:
                self.output.finish(is_complete=report.complete)
            self._sync_files()
        except (DatasetError, OSError) as error:
            self.error = self.error or error
        return report

    is_abandoned = False
    """Whether the run was aborted, so that no long work is started."""

    def close(self) -> None:
        """Close and unlock the files."""
        if self.error is not None and self.is_untouched:
            # There is nothing to resume: the same call works once this is fixed.
            self.paths.remove()
        self._opened.close()

    @property
    def is_untouched(self) -> bool:
        """Whether no run sent or finished a row."""
        state = self.core.state
        is_used = state.requests or state.failed or self.journal.next_shard > 1
        return self._is_new and not (is_used or self.core.batches.shards)

    @property
    def in_batches(self) -> int:
        """Number of rows in batches at the service."""
        return sum(shard.rows for shard in self.core.batches.running)

    def progress(self) -> Progress:
        """Return the current progress."""
        return make_progress(self)


def _make_validator(response_format: type[Any] | None) -> "ResponseValidator | None":
    if response_format is None:
        return None
    from tunesmith.batch.response_validation import ResponseValidator  # noqa: PLC0415

    return ResponseValidator(response_format)


def _parse(validator: "ResponseValidator | None", result: Result) -> Result:
    if validator is None or result.body is None:
        return result
    return validate(validator, result, parse_body(result.body)[0])[0]
