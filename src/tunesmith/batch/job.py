"""A batch job: many requests over any backend, none lost, none paid twice."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from inspect import iscoroutinefunction
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, Literal, Self

import anyio
import anyio.to_thread

from tunesmith.batch.budget import Budget
from tunesmith.batch.interrupts import SignalHandler
from tunesmith.batch.options import (
    BatchApiOptions,
    BatchLimits,
    DispatchMode,
    Order,
    RunOptions,
    batch_timeout_s,
    job_settings,
)
from tunesmith.batch.output import JobPaths
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.batch.report import BatchReport, OnProgress, Progress
from tunesmith.batch.requests import RequestBuilder, Template
from tunesmith.batch.result_stream import ResultStream
from tunesmith.batch.results import M, Result
from tunesmith.batch.run import JobRun
from tunesmith.batch.source import Source, open_source
from tunesmith.client import AsyncClient
from tunesmith.errors import ConfigurationError

if TYPE_CHECKING:  # loaded by the jobs that need them
    from tunesmith.batch.estimate import Estimate
    from tunesmith.datasets.cost import Prices

__all__ = ["BatchJob"]

_log = logging.getLogger("tunesmith.batch")


class BatchJob(Generic[M]):
    """Job of many requests: rows are read from a source, and answers are written as they arrive.

    Whatever stops it, a later run with `resume=True` continues: every row has one outcome, and is
    paid once, except for those in flight when the machine or the process died.

    Args:
        source: The rows: a path (jsonl, csv, tsv, parquet, xlsx, json, txt, also compressed), an
            iterable or asynchronous iterable of texts or objects, or a table (pandas, polars, …).
        output_path: The file of answers, in the format of the Batch API. Failed rows are written to
            `….errors.jsonl` beside it, the journal to `….journal`.
        client: The client.
        model: The default model.
        endpoint: The default endpoint, such as `/v1/chat/completions`.
        template: Converts the fields of a row to a request: a text such as `"Translate: {text}"`, a
            body with such texts, or a function from the fields to the body.
        params: Default parameters, such as `{"max_tokens": 50}`.
        response_format: A class to parse chat completions or responses into; invalid ones are
            retried. Texts are chat messages then.
        mode: `live` sends one request per row; `batch` uses the Batch API, at half the price and
            within a day; `auto` uses batches for three quarters of the deadline, if it is an
            hour or more, and sends the rest live.
        concurrency: Maximum number of requests in flight; `auto` adapts it.
        requests_per_minute: The limit of requests; None to learn it from the service.
        tokens_per_minute: The limit of tokens; None to learn it from the service.
        pacing: A rate limiter shared with other jobs, instead of these two limits.
        max_retries: Retries of a row after transient failures. Refusals by rate limits do not
            count.
        timeout: Seconds that one attempt may take; None for the timeout of the client.
        deadline: Seconds that the job may take; the remaining rows are left to the next run.
        max_failed: Failed rows after which the job stops; None never stops.
        budget: Maximum cost over all runs.
        prices: Prices of tokens, for a budget in dollars and for the report.
        order: Order of the answers: as `completed`, or as in the `input`.
        resume: Whether to continue the job of `output_path`, if it exists.
        retry_failed: Whether rows that failed in earlier runs are retried.
        on_progress: Called with the progress every `progress_interval` seconds.
        progress_interval: Seconds between such calls.
        shutdown_timeout: Seconds to finish requests in flight when the caller is cancelled; None
            for no limit.
        handle_signals: Whether the first Ctrl-C (or SIGTERM) finishes requests in flight, and the
            second one exits at once; the usual exception follows. Other handlers stay.
        poll_interval: Seconds between two polls of a batch, growing to 20 times as long while
            nothing happens.
        limits: Limits of the Batch API.
        keep_files: Whether to keep the files of batches at the service; by default they are deleted
            once their results are collected.
        fsync_interval: Seconds that outcomes may be unsafe from a power loss. With 0, each row is
            sent only after its journal entry is safe.
        fsync_rows: Number of outcomes that may be unsafe from a power loss.

    Raises:
        ConfigurationError: The output already exists, options contradict each other, or an extra is
            missing.
        DatasetError: The source does not exist.
        InvalidRequestError: The endpoint is unknown.

    Example:
        ```python
        from tunesmith.batch import BatchJob

        prompts = ["Space is", "Time is"]
        async with BatchJob(prompts, "answers.jsonl", client=client, model="davinci-002") as job:
            async for result in job:
                print(result.line, result.text)
        print(job.report)
        ```
    """

    def __init__(
        self,
        source: Source,
        output_path: str | PathLike[str],
        *,
        client: AsyncClient,
        model: str | None = None,
        endpoint: str | None = None,
        template: Template | None = None,
        params: Mapping[str, Any] | None = None,
        response_format: type[M] | None = None,
        mode: DispatchMode = "live",
        concurrency: int | Literal["auto"] = "auto",
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        pacing: RateLimiter | None = None,
        max_retries: int = 5,
        timeout: float | None = None,
        deadline: float | None = None,
        max_failed: int | None = None,
        budget: Budget | None = None,
        prices: "Prices | None" = None,
        order: Order = "completed",
        resume: bool = False,
        retry_failed: bool = False,
        on_progress: OnProgress | None = None,
        progress_interval: float = 1.0,
        shutdown_timeout: float | None = 60.0,
        handle_signals: bool = True,
        poll_interval: float = 30.0,
        limits: BatchLimits | None = None,
        keep_files: bool = False,
        fsync_interval: float = 1.0,
        fsync_rows: int = 1000,
    ) -> None:
        if iscoroutinefunction(on_progress):
            raise ConfigurationError("on_progress is not awaited: pass a plain function")
        self.paths = JobPaths(output_path)
        self._rows = open_source(source)
        self.paths.check_source(self._rows.path)
        self._build = RequestBuilder(
            model=model,
            endpoint=endpoint,
            template=template,
            params=params,
            response_format=response_format,
            file=self._rows.name,
        )
        self.options = RunOptions(
            source=self._rows.name,
            settings=job_settings(model, endpoint, template, params, response_format, order),
            model=model,
            response_format=response_format,
            concurrency=concurrency,
            pacing=pacing or RateLimiter(requests_per_minute, tokens_per_minute),
            max_retries=max_retries,
            timeout_s=timeout,
            deadline_s=deadline,
            max_failed=max_failed,
            budget=budget,
            prices=prices,
            order=order,
            resume=resume,
            retry_failed=retry_failed,
            fsync_interval_s=fsync_interval,
            fsync_rows=fsync_rows,
            mode=mode,
            provider=BatchApiOptions(
                limits or BatchLimits(),
                poll_interval,
                batch_timeout_s(mode, deadline),
                keep_files,
            ),
        )
        self._client = client
        self._on_progress = on_progress
        self._progress_interval_s = progress_interval
        self._shutdown_timeout_s = shutdown_timeout
        self._stream = ResultStream()
        self._run: JobRun | None = None
        self._stack = AsyncExitStack()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._leaving: anyio.CancelScope | None = None  # it belongs to an event loop
        self._ended: anyio.Event | None = None
        self._has_started = False
        self._handle_signals = handle_signals
        self._interrupts = SignalHandler(self._interrupted, self.abort)
        self._error: Exception | None = None
        self._report: BatchReport | None = None

    @property
    def report(self) -> BatchReport:
        """Report of the run.

        Raises:
            ValueError: The run has not ended.
        """
        if self._report is None:
            raise ValueError("the job has not ended: read its report after `async with`")
        return self._report

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended, so that there is a report."""
        return self._report is not None

    @property
    def progress(self) -> Progress:
        """Current progress.

        Raises:
            ValueError: The job was not entered by `async with`.
        """
        return self._require_entered().progress()

    async def __aenter__(self) -> Self:
        if self._ended is not None:
            raise ValueError("a job can be entered once: create another BatchJob to resume it")
        self._ended = anyio.Event()
        self._leaving = anyio.CancelScope(shield=True)
        # Restoring may take a while, and must not be interrupted.
        with anyio.CancelScope(shield=True):
            self._run = await anyio.to_thread.run_sync(
                JobRun,
                self.paths,
                self._rows,
                self._build,
                self._client,
                self.options,
                self._stream,
            )
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        run = self._require_entered()
        try:
            if self._has_started:
                self.stop()
                with anyio.CancelScope(shield=True):
                    try:
                        await self._wait()
                    except BaseException:  # a second Ctrl-C
                        self.abort()
                        raise
            if self._tasks is not None:
                self._tasks.cancel_scope.cancel()
            await self._stack.aclose()  # without the error, which a group would wrap
        finally:
            run.close()
        if error is None:
            self._raise_error()

    async def run(self) -> BatchReport:
        """Run the job to its end, and return the report.

        Raises:
            DatasetError: The first row is not a request, or a file cannot be read or written.
            AuthenticationError: The service refused the API key.
        """
        run = self._start()
        run.discard_results()
        await self._wait()
        self._raise_error()
        return self.report

    def __aiter__(self) -> AsyncIterator[Result[M]]:
        self._stream.is_wanted = True
        self._start()
        return self

    async def __anext__(self) -> Result[M]:
        result = await self._stream.get()
        if result is not None:
            return result
        await self._wait()
        self._raise_error()
        raise StopAsyncIteration

    async def _wait(self) -> None:
        if self._ended is not None:
            await self._ended.wait()

    def stop(self) -> None:
        """Stop the job; requests in flight are finished."""
        run = self._require_entered()
        if self._ended is not None and not self._ended.is_set():
            run.stop("interrupted")
            run.discard_results()

    def abort(self) -> None:
        """Stop the job at once; requests in flight are abandoned, though they may be paid."""
        self.stop()
        self._require_entered().is_abandoned = True
        if self._leaving is not None:
            self._leaving.cancel()

    def poll_now(self) -> None:
        """Poll the batches now, such as after a webhook."""
        self._require_entered().poll_now()

    def cancel(self) -> None:
        """Cancel all batches; their results are collected, and the job ends.

        That takes the service up to ten minutes. A job without batches just stops.
        """
        self._require_entered().cancel()

    async def estimate(self) -> "Estimate":
        """Return the number of rows, their tokens and their price, without sending anything.

        It reads the whole source, which consumes a generator.

        Raises:
            DatasetError: The first row is not a request.
        """
        from tunesmith.batch.estimate import estimate  # noqa: PLC0415

        return await estimate(self._rows, self._build, self.options.model, self.options.prices)

    def _start(self) -> JobRun:
        run = self._require_entered()
        if self._has_started or self._tasks is None:
            return run
        self._has_started = True
        self._tasks.start_soon(self._work, run)
        self._tasks.start_soon(self._watch)
        if self._handle_signals:
            self._tasks.start_soon(self._interrupts.listen)
        return run

    async def _work(self, run: JobRun) -> None:
        """Run the job; only `abort` cancels it."""
        leaving, ended = self._leaving or anyio.CancelScope(), self._ended or anyio.Event()
        try:
            with leaving:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._report_progress, run)
                    await run.work()
                    tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                self._report = await anyio.to_thread.run_sync(run.end)
            self._error = run.error
            self._call_on_progress(run)
            if self.report.stopped is not None:
                _log.warning("%s", self.report.resume_hint)
        finally:
            ended.set()
            self._stream.close()

    async def _watch(self) -> None:
        """Stop when the caller is cancelled."""
        try:
            await self._wait()
        except anyio.get_cancelled_exc_class():
            self.stop()
            if self._shutdown_timeout_s is not None and self._leaving is not None:
                self._leaving.deadline = anyio.current_time() + self._shutdown_timeout_s
            raise

    async def _report_progress(self, run: JobRun) -> None:
        while self._on_progress is not None:
            await anyio.sleep(self._progress_interval_s)
            if self._error is None:
                self._call_on_progress(run)

    def _call_on_progress(self, run: JobRun) -> None:
        try:
            _ = self._on_progress and self._on_progress(run.progress())
        except Exception as error:  # noqa: BLE001 - of the user's function; raised at the end
            run.fail(error)
            self._error = self._error or error

    def _interrupted(self) -> None:
        self.stop()
        text = "Stopping after %d requests in flight; Ctrl-C again abandons them."
        _log.warning(text, self.progress.in_flight)

    def _raise_error(self) -> None:
        self._interrupts.raise_again()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _require_entered(self) -> JobRun:
        if self._run is None:
            raise ValueError("enter the job first: async with BatchJob(…) as job")
        return self._run
