"""A batch job: many requests over any backend, none lost, none paid twice."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from inspect import iscoroutinefunction
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self

import anyio
import anyio.to_thread

from tunesmith.batch.budget import Budget
from tunesmith.batch.estimate import Estimate, estimate
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
from tunesmith.batch.results import Result
from tunesmith.batch.run import JobRun
from tunesmith.batch.source import Source, open_source
from tunesmith.client import AsyncClient
from tunesmith.datasets.cost import Prices
from tunesmith.errors import ConfigurationError

__all__ = ["BatchJob"]

_log = logging.getLogger("tunesmith.batch")


class BatchJob:
    """Many requests: read from a source, sent as the service allows, answers written as they come.

    Whatever stops it, a later run with `resume=True` goes on where it was: every row comes out
    once, and is paid once, but for those that were under way when the machine or the process died.

    Args:
        source: The rows: a path (jsonl, csv, tsv, parquet, xlsx, json, txt, also compressed), an
            iterable or asynchronous iterable of texts or objects, or a table (pandas, polars, …).
        output_path: The file for the answers, as lines that the Batch API would write. Beside it
            are `….errors.jsonl`, the rows that failed, and `….journal`.
        client: The client to send with.
        model: The model of rows that name none.
        endpoint: Where rows go that do not say it themselves, such as `/v1/chat/completions`.
        template: How a row's fields become a request: a text such as `"Translate: {text}"`, a body
            with such texts, or a function from the fields to the body.
        params: Parameters for rows that do not give them, such as `{"max_tokens": 50}`.
        response_format: A class that chat answers shall fit; others are asked for again, if whole.
            Texts are chat messages then.
        mode: `live` sends one request for each row; `batch` uses the Batch API, at half the price
            and within a day; `auto` uses batches for three quarters of the deadline, if it is an
            hour or more, and sends the rest live.
        concurrency: How many requests may be under way at once; `auto` finds it out.
        requests_per_minute: The limit of requests; without it, it is learned from the service.
        tokens_per_minute: The limit of tokens; without it, it is learned from the service.
        pacing: The rate limiter that this job shares with others, instead of these two limits.
        max_retries: How often a row is sent again after a failure that may pass. Refusals by rate
            limits do not count: they are waited out.
        timeout: Seconds that one attempt may take; by default as long as the client allows.
        deadline: Seconds that the job may take; what is not done by then is left for another run.
        max_failed: After so many failed rows the job stops; None never stops.
        budget: The most that may be paid over all runs.
        prices: What tokens cost, for a budget in dollars and for the report.
        order: Whether answers are written as they are `completed`, or in the order of the `input`.
        resume: Whether to go on with what is in `output_path`; it may also be absent.
        retry_failed: Whether rows that failed in earlier runs are sent again.
        on_progress: Called with how far the job is, every `progress_interval` seconds.
        progress_interval: Seconds between such calls.
        shutdown_timeout: Seconds to finish requests in flight when the caller is cancelled; None
            for as long as they take.
        handle_signals: Whether the first Ctrl-C (or SIGTERM) finishes what is in flight, and the
            second one leaves at once; the usual exception follows. Handlers of the program stay.
        poll_interval: Seconds between two looks at batches, growing to 20 times as long while
            nothing happens. `poll_now` looks at once.
        limits: How much the Batch API takes.
        keep_files: Whether the files of batches stay at the service; they are deleted otherwise,
            once their results are collected.
        fsync_interval: Seconds that outcomes may be unsafe from a power loss. With 0, each row is
            sent only after its journal entry is safe, so that no request is ever hidden.
        fsync_rows: Outcomes that may be unsafe from a power loss.

    Raises:
        ConfigurationError: The output is there already, options contradict each other, or an extra
            is missing.
        DatasetError: There is no such source.
        InvalidRequestError: There is no such endpoint.

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
        response_format: type[Any] | None = None,
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
        prices: Prices | None = None,
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
            raise ConfigurationError("on_progress is called and not awaited: give a plain function")
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
        self._options = RunOptions(
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
        self._handover = ResultStream()
        self._run: JobRun | None = None
        self._stack = AsyncExitStack()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._leaving: anyio.CancelScope | None = None  # it belongs to an event loop
        self._over: anyio.Event | None = None
        self._began = False
        self._handle_signals = handle_signals
        self._interrupts = SignalHandler(self._interrupted, self.abort)
        self._error: Exception | None = None
        self._report: BatchReport | None = None

    @property
    def report(self) -> BatchReport:
        """How the run ended.

        Raises:
            ValueError: It has not ended.
        """
        if self._report is None:
            raise ValueError("the job has not ended: its report comes after `async with`")
        return self._report

    @property
    def progress(self) -> Progress:
        """How far the job is.

        Raises:
            ValueError: It was not entered by `async with`.
        """
        return self._require_entered().progress()

    async def __aenter__(self) -> Self:
        if self._over is not None:
            raise ValueError("a job is entered once: create another BatchJob to resume it")
        self._over = anyio.Event()
        self._leaving = anyio.CancelScope(shield=True)
        # Reading what is there may take a while, and must not be left half-way.
        with anyio.CancelScope(shield=True):
            self._run = await anyio.to_thread.run_sync(
                JobRun,
                self.paths,
                self._rows,
                self._build,
                self._client,
                self._options,
                self._handover,
            )
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run = self._require_entered()
        try:
            if self._began:
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
        if exc is None:
            self._raise_error()

    async def run(self) -> BatchReport:
        """Do all rows, and return the report. Results are not kept for an iteration any more.

        Raises:
            DatasetError: The first row is no request, or a file cannot be read or written.
            AuthenticationError: The service does not take the key.
        """
        run = self._begin()
        run.discard_results()
        await self._wait()
        self._raise_error()
        return self.report

    def __aiter__(self) -> AsyncIterator[Result]:
        self._handover.is_wanted = True
        self._begin()
        return self

    async def __anext__(self) -> Result:
        result = await self._handover.get()
        if result is not None:
            return result
        await self._wait()
        self._raise_error()
        raise StopAsyncIteration

    async def _wait(self) -> None:
        if self._over is not None:
            await self._over.wait()

    def stop(self) -> None:
        """Send nothing more; what is in flight is finished."""
        run = self._require_entered()
        if self._over is not None and not self._over.is_set():
            run.stop("interrupted")
            run.discard_results()

    def abort(self) -> None:
        """Stop at once; what is in flight is left, though it may be paid."""
        self.stop()
        self._require_entered().is_abandoned = True
        if self._leaving is not None:
            self._leaving.cancel()

    def poll_now(self) -> None:
        """Look at the batches now, because a webhook told of news."""
        self._require_entered().poll_now()

    def cancel(self) -> None:
        """Cancel all batches; what they have done is collected, and the job ends.

        That takes the service up to ten minutes. A job that sends its rows live just stops.
        """
        self._require_entered().cancel()

    async def estimate(self) -> Estimate:
        """Count the rows and their tokens, and price them, without sending anything.

        It reads the whole source; a generator is used up by that.

        Raises:
            DatasetError: The first row is no request.
        """
        return await estimate(self._rows, self._build, self._options.model, self._options.prices)

    def _begin(self) -> JobRun:
        run = self._require_entered()
        if self._began or self._tasks is None:
            return run
        self._began = True
        self._tasks.start_soon(self._work, run)
        self._tasks.start_soon(self._watch)
        if self._handle_signals:
            self._tasks.start_soon(self._interrupts.listen)
        return run

    async def _work(self, run: JobRun) -> None:
        """Do the job, whoever is cancelled; only `abort` breaks it off."""
        leaving, over = self._leaving or anyio.CancelScope(), self._over or anyio.Event()
        try:
            with leaving:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._tell, run)
                    await run.work()
                    tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                self._report = await anyio.to_thread.run_sync(run.end)
            self._error = run.error
            self._call_on_progress(run)
            if self.report.stopped is not None:
                _log.warning("%s", self.report.resume_hint)
        finally:
            over.set()
            self._handover.close()

    async def _watch(self) -> None:
        """Stop when the caller is cancelled."""
        try:
            await self._wait()
        except anyio.get_cancelled_exc_class():
            self.stop()
            if self._shutdown_timeout_s is not None and self._leaving is not None:
                self._leaving.deadline = anyio.current_time() + self._shutdown_timeout_s
            raise

    async def _tell(self, run: JobRun) -> None:
        while self._on_progress is not None:
            await anyio.sleep(self._progress_interval_s)
            if not self._call_on_progress(run):
                return

    def _call_on_progress(self, run: JobRun) -> bool:
        try:
            _ = self._on_progress and self._on_progress(run.progress())
        except Exception as error:  # noqa: BLE001 - it is the user's; raised at the end
            run.fail(error)
            self._error = self._error or error
            return False
        return True

    def _interrupted(self) -> None:
        self.stop()
        count = self.progress.in_flight
        _log.warning("Stopping after %d requests in flight; Ctrl-C again abandons them.", count)

    def _raise_error(self) -> None:
        self._interrupts.raise_again()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _require_entered(self) -> JobRun:
        if self._run is None:
            raise ValueError("a job is entered first: async with BatchJob(…) as job")
        return self._run
