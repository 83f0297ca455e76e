"""One run of a job: its files, its pace, its counts, and how it ended."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import anyio

from tunesmith.batch.admission import AdmissionController
from tunesmith.batch.batch_api.collector import Collector
from tunesmith.batch.batch_api.runner import BatchApiRunner
from tunesmith.batch.budget import BudgetTracker
from tunesmith.batch.commit import GroupCommit
from tunesmith.batch.concurrency import AdaptiveConcurrency
from tunesmith.batch.index import KeyIndex, RowStatus
from tunesmith.batch.journal import Journal, JournalState
from tunesmith.batch.live import LiveRunner, RowPolicy
from tunesmith.batch.metrics import JobMetrics
from tunesmith.batch.options import RunOptions
from tunesmith.batch.outage import OutageTracker
from tunesmith.batch.output import JobPaths, OutputWriter
from tunesmith.batch.report import BatchReport, Progress, StopReason
from tunesmith.batch.requests import RequestBuilder
from tunesmith.batch.response_validation import ResponseValidator
from tunesmith.batch.result_stream import ResultStream
from tunesmith.batch.results import Result
from tunesmith.batch.row_queue import RowQueue
from tunesmith.batch.rows import RequestRow
from tunesmith.batch.shard_log import ShardLog
from tunesmith.batch.source import RowSource
from tunesmith.calls.deadline import Deadline
from tunesmith.client import AsyncClient
from tunesmith.errors import ConfigurationError, DatasetError
from tunesmith.protocol.retry import RetryPolicy

__all__ = ["JobRun"]

_STOP_MESSAGES: Mapping[StopReason, str] = {
    "interrupted": "It was interrupted",
    "error": "An error ended it",
    "failures": "Too many rows failed",
    "budget": "The next row could break the budget",
    "deadline": "The deadline leaves no time for more",
    "quota": "The account's quota is used up",
    "cancelled": "Its batches were cancelled",
}
_RESUME_ADVICE: Mapping[StopReason, str] = {"budget": ", a larger budget"}


class JobRun:
    """One run of a job; making it opens its files and reads what earlier runs wrote.

    Args:
        paths: The files.
        rows: The source.
        build: Makes rows of what it holds.
        client: Sends requests.
        options: What the job was given.
        handover: Where results go besides the files.

    Attributes:
        error: What ended the job, if it was an error.

    Raises:
        ConfigurationError: The output is there and not to be resumed, belongs to another job, or
            another run is at work on it.
        DatasetError: A file cannot be opened, or is damaged.
    """

    def __init__(
        self,
        paths: JobPaths,
        rows: RowSource,
        build: RequestBuilder,
        client: AsyncClient,
        options: RunOptions,
        handover: ResultStream,
    ) -> None:
        if not options.resume and (there := paths.existing):
            raise ConfigurationError(
                f"{there} is there already: go on with it by resume=True, or name another output"
            )
        paths.check()
        self._paths = paths
        self._caller = client.caller
        self._options = options
        self._handover = handover
        self._clock = client.caller.clock
        self._purse = BudgetTracker(options.budget, options.prices, options.model)
        self.journal = Journal(paths.journal)
        self.index = KeyIndex()
        self._shards = ShardLog(paths)
        with ExitStack() as opened:
            opened.callback(self.journal.file.close)
            opened.callback(self.index.close)
            self.output = OutputWriter(
                paths, ordered=options.order == "input", deliver=handover.put
            )
            opened.callback(self.output.close)
            self._restore()
            self._total = rows.count_rows()
            self.journal.append({"begun": self._total})
            self._opened = opened.pop_all()
        self.feeder = RowQueue(
            rows, build, self.index, self.output, self._finish, handover.wait_for_space
        )
        self.meter = JobMetrics(self._clock.monotonic())
        self._deadline = Deadline(self._clock, options.deadline_s, "batch")
        self.gate = AdmissionController(
            self._clock,
            options.pacing,
            AdaptiveConcurrency(options.concurrency),
            self._purse,
            self.meter,
            self._deadline,
            self.feeder.stop,
        )
        self._commit = GroupCommit(
            self._sync, interval_s=options.fsync_interval_s, rows=options.fsync_rows
        )
        self.journal.on_sent = partial(self._commit.mark_dirty, 0)
        self._fitting = (
            ResponseValidator(options.response_format) if options.response_format else None
        )
        self._retry = RetryPolicy(options.max_retries)
        self.provider = None if options.mode == "live" else self._provider(client)
        self.error: Exception | None = None
        self._unknown: list[str] = []

    def _provider(self, client: AsyncClient) -> BatchApiRunner:
        return BatchApiRunner(
            client=client,
            feeder=self.feeder,
            gate=self.gate,
            journal=self.journal,
            log=self._shards,
            index=self.index,
            meter=self.meter,
            collector=Collector(
                client,
                self.index,
                self.feeder,
                self._retry,
                self._fitting,
                self._finish,
                self._handover.wait_for_space,
            ),
            deadline=self._deadline,
            fail=self.fail,
            options=self._options.provider,
        )

    def _restore(self) -> None:
        self._is_new = not any(path.stat().st_size for path in self._paths.written())
        past: JournalState = self.journal.replay(self.index)
        if past.settings is None:
            self.journal.begin(self._options.settings)
        else:
            self._check(past.settings)
        self._shards.replay(past.notes)
        self._shards.remove_stale_files()
        self._restore_shards()
        if self._options.retry_failed:
            self.index.update(self._failed_rows())
            self.journal.file.sync()
            self.output.errors.clear()
        answered = self.output.replay(self.index)
        self._purse.paid += answered + past.paid + self.index.reserved()

    def _failed_rows(self) -> Iterator[tuple[str, RowStatus, int, int]]:
        """The rows that failed; what they cost stays in the journal."""
        for key, usage in self.output.failed():
            self.journal.requeued(key)
            if usage.total:
                self.journal.paid(key, usage)
                self._purse.paid += usage
            yield key, RowStatus.NEW, 0, 0

    def _restore_shards(self) -> None:
        shards = self._shards.shards.values()
        if shards and self._options.mode == "live":
            raise ConfigurationError(
                f"rows of {self._paths.journal} are in batches at the service: go on with "
                "mode='batch' or mode='auto', which collects them, also after they were cancelled"
            )
        for shard in shards:
            self._purse.reserve(shard.reserved)
            self.index.update(
                (key, RowStatus.IN_BATCH, shard.number, 0) for key in shard.read_keys()
            )

    def _check(self, begun_with: Mapping[str, Any]) -> None:
        for name, value in self._options.settings.items():
            if name in begun_with and begun_with[name] != value:
                raise ConfigurationError(
                    f"{self._paths.journal} belongs to a job with {name}={begun_with[name]!r}, and "
                    f"this one has {value!r}: name another output, or give what the job had"
                )

    async def work(self) -> None:
        """Do all rows; what goes wrong with the whole job is in `error`."""
        options = self._options
        timeout_s = options.timeout_s or self._caller.policy.timeout_s
        runner = LiveRunner(
            self._caller,
            self.feeder,
            self.gate,
            self.journal,
            self.meter,
            RowPolicy(
                self._retry,
                timeout_s,
                dict(self._caller.policy.headers),
                self._fitting,
            ),
            self._deadline,
            OutageTracker(self._retry.max_retries),
            self._finish,
            self.fail,
            self._handover.wait_for_space,
            self._unknown,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run_guarded, self._commit.run)
            tasks.start_soon(self._run_guarded, self.feeder.run)
            if self.provider is not None:
                await self._run_guarded(self.provider.run)
            if self._options.mode != "batch":
                if self.provider is not None and self.gate.stopped is None:
                    self.feeder.put_back(self.provider.reclaimed_rows())
                await runner.run()
            tasks.cancel_scope.cancel()

    def stop(self, why: StopReason) -> None:
        """Send nothing more; what is under way is finished."""
        self.gate.stop(why)

    def progress(self) -> Progress:
        """Tell how far it is."""
        now = self._clock.monotonic()
        meter, pacing = self.meter, self.gate.pacing
        return Progress(
            total=self.feeder.seen if self.feeder.ended else self._total,
            done=meter.done,
            failed=meter.failed,
            skipped=self.feeder.skipped,
            in_flight=self.gate.under_way,
            concurrency=self.gate.concurrency.limit,
            requests=meter.requests,
            refused=meter.refused,
            retried=meter.retried,
            last_retry_reason=meter.trouble,
            usage=meter.usage,
            usd=self._purse.usd(meter.usage),
            elapsed_s=meter.elapsed_s(now),
            rows_per_s=meter.rate(now),
            requests_per_minute=pacing.requests.per_minute,
            tokens_per_minute=pacing.tokens.per_minute,
            paused_s=pacing.paused_s(now),
            in_batches=self.provider.rows if self.provider else 0,
            latency_s=meter.recent_latency_s(),
        )

    def end(self) -> BatchReport:
        """Write what is left to be written, and say how it went; blocks."""
        report = self._report()
        try:
            self._sync()
            self.journal.append({"report": report.to_dict()})
            if report.complete:
                self.output.finish(self.index)
                self._shards.remove_stale_files()
            self._sync()
        except DatasetError as error:
            self.error = self.error or error
        return report

    def close(self) -> None:
        """Close the files, and let other runs have them."""
        if self.error is not None and self._is_untouched:
            # Nothing is there to be resumed: the same call shall do once this is mended.
            self._paths.remove()
        self._opened.close()

    @property
    def _is_untouched(self) -> bool:
        """Whether nothing was sent or finished in this run or an earlier one."""
        meter = self.meter
        return self._is_new and not (meter.requests or meter.failed or self._shards.job)

    async def _run_guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the source is the user's; raised at the end
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the job with an error; what is under way is finished."""
        self.error = self.error or error
        self.stop("error")

    def _finish(self, row: RequestRow, result: Result) -> None:
        self.output.add(row, result)
        self.meter.on_result(result)
        self._commit.mark_dirty()
        self.feeder.notify_space()
        if not result.ok and self.meter.failed == self._options.max_failed:
            self.stop("failures")

    def _sync(self) -> None:
        self.output.sync()
        self.journal.file.sync()

    def _report(self) -> BatchReport:
        meter, feeder = self.meter, self.feeder
        outcomes = meter.done + meter.failed + feeder.skipped
        rows = feeder.seen if feeder.ended or self._total is None else self._total
        is_known = feeder.ended or self._total is not None
        not_done = max(rows - outcomes, 0) if is_known else None
        stopped = None if feeder.ended and not not_done else self.gate.stopped
        return BatchReport(
            output=str(self._paths.output),
            errors=str(self._paths.errors),
            journal=str(self._paths.journal),
            rows=rows,
            done=meter.done,
            failed=meter.failed,
            skipped=feeder.skipped,
            remaining=not_done,
            outcome_unknown=tuple(dict.fromkeys([*feeder.again, *self._unknown])),
            requests=meter.requests,
            refused=meter.refused,
            retried=meter.retried,
            last_retry_reason=meter.trouble,
            usage=meter.usage,
            usd=self._purse.usd(meter.usage),
            elapsed_s=meter.elapsed_s(self._clock.monotonic()),
            latency_p50_s=meter.latency_s(0.5),
            latency_p95_s=meter.latency_s(0.95),
            latency_max_s=meter.latency_s(1.0),
            in_batches=self.provider.rows if self.provider else 0,
            stopped=stopped,
            resume_hint=self._how_to_go_on(stopped),
            causes=meter.causes(),
        )

    def _how_to_go_on(self, stopped: StopReason | None) -> str:
        if stopped == "error" and self._is_untouched:
            return "An error ended it before anything was sent."
        if stopped is not None:
            in_batches = self.provider is not None and bool(self.provider.batches)
            return (
                f"{_STOP_MESSAGES[stopped]}: nothing that was finished is lost. Go on with "
                f"resume=True{_RESUME_ADVICE.get(stopped, '')} and the same output, "
                f"{self._paths.output}."
                + (" The service goes on with its batches meanwhile." if in_batches else "")
            )
        if self.meter.failed:
            return (
                f"Why each failed is in {self._paths.errors}; send them again with resume=True "
                "and retry_failed=True."
            )
        return ""
