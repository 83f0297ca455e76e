"""Following a job to its end, through whatever happens to the connection meanwhile."""

from collections import deque
from collections.abc import AsyncIterator
from typing import TypeVar

from tunesmith.calls.caller import Caller
from tunesmith.calls.deadline import Deadline
from tunesmith.errors import (
    APIConnectionError,
    InternalServerError,
    JobCancelledError,
    JobError,
    JobFailedError,
    RateLimitError,
)
from tunesmith.operations.base import Operation
from tunesmith.operations.files import DownloadFile
from tunesmith.operations.fine_tuning import ListFineTuningJobEvents, RetrieveFineTuningJob
from tunesmith.protocol.results import parse_results
from tunesmith.resources.base import validate_poll_interval
from tunesmith.types.base import Page
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from tunesmith.types.results import JobResults

__all__ = ["JobEventStream", "job_results", "wait_for_job"]

A = TypeVar("A")

_TRANSIENT_ERRORS = (APIConnectionError, InternalServerError, RateLimitError)
_MAX_UNREACHABLE_S = 300.0
"""How long a service may be out of reach before that is an error."""

_TRAILING_EVENTS_S = 15.0
"""How long after a job's end its last events may come; eight seconds have been seen."""

_LAST_MESSAGES = ("the job has successfully completed", "fine-tune succeeded")
_EVENTS_A_PAGE = 100


class _Poller:
    """Asks again and again, patient with failures that pass."""

    def __init__(self, caller: Caller, name: str, deadline_s: float | None, poll_s: float) -> None:
        validate_poll_interval(poll_s)
        self._caller = caller
        self._poll_s = poll_s
        seconds = caller.policy.deadline_s if deadline_s is None else deadline_s
        self.deadline = Deadline(caller.clock, seconds, name)
        self._unreachable_since: float | None = None

    async def poll(self, operation: Operation[A]) -> A | None:
        """Ask; None if that failed in passing and is to be tried again after a pause."""
        try:
            answer = await self._caller.call(operation, deadline=self.deadline)
        except _TRANSIENT_ERRORS:
            now = self.now()
            if self._unreachable_since is None:
                self._unreachable_since = now
            elif now - self._unreachable_since > _MAX_UNREACHABLE_S:
                raise
            return None
        self._unreachable_since = None
        return answer

    async def pause(self) -> None:
        await self.deadline.sleep(self._poll_s, activity="waiting for the job")

    def now(self) -> float:
        return self._caller.clock.monotonic()


class JobEventStream:
    """Goes through a job's events as they come; see `Jobs.follow`.

    It is no generator: one that is left early would wait for the garbage collector.
    """

    def __init__(
        self, caller: Caller, job: FineTuningJob | str, *, deadline_s: float | None, poll_s: float
    ) -> None:
        self._job_id = job if isinstance(job, str) else job.id
        self._watch = _Poller(caller, "fine_tuning.jobs.follow", deadline_s, poll_s)
        self._seen: set[str] = set()
        self._news: deque[FineTuningJobEvent] = deque()
        self._looked = False
        self._over_since: float | None = None
        self._complete = False

    def __aiter__(self) -> AsyncIterator[FineTuningJobEvent]:
        return self

    async def __anext__(self) -> FineTuningJobEvent:
        while not self._news:
            if self._complete:
                raise StopAsyncIteration
            if self._looked:
                await self._watch.pause()
            self._looked = True
            await self._poll_events()
        return self._news.popleft()

    async def _poll_events(self) -> None:
        watch = self._watch
        # The status is asked for first: events that come after it are seen in this round or later.
        state = await watch.poll(RetrieveFineTuningJob(self._job_id))
        news = await _unseen_events(watch, self._job_id, self._seen) if state else []
        self._seen.update(event.id for event in news)
        self._news.extend(news)
        if state and state.is_finished:
            if news or self._over_since is None:
                self._over_since = watch.now()
            last_came = any(event.message.lower().startswith(_LAST_MESSAGES) for event in news)
            self._complete = last_came or watch.now() - self._over_since >= _TRAILING_EVENTS_S


async def _unseen_events(watch: _Poller, job_id: str, seen: set[str]) -> list[FineTuningJobEvent]:
    """List the events that are new, oldest first; none if a page could not be had."""
    unseen: dict[str, FineTuningJobEvent] = {}
    after: str | None = None
    while True:
        page: Page[FineTuningJobEvent] | None = await watch.poll(
            ListFineTuningJobEvents(job_id, after=after, limit=_EVENTS_A_PAGE)
        )
        if page is None:
            return []  # half of the news would come out of order
        for event in page.data:
            if event.id not in seen:
                unseen[event.id] = event
        last = page.data[-1].id if page.data else after
        if not page.has_more or last == after or last in seen:
            return list(reversed(unseen.values()))
        after = last


async def wait_for_job(
    caller: Caller, job: FineTuningJob | str, *, deadline_s: float | None, poll_s: float
) -> FineTuningJob:
    """Wait until a job is over; see `Jobs.wait`."""
    job_id = job if isinstance(job, str) else job.id
    watch = _Poller(caller, "fine_tuning.jobs.wait", deadline_s, poll_s)
    while True:
        state = await watch.poll(RetrieveFineTuningJob(job_id))
        if state and state.is_finished:
            return raise_for_status(state)
        await watch.pause()


def raise_for_status(job: FineTuningJob) -> FineTuningJob:
    """Return a job that succeeded.

    Raises:
        JobFailedError: It failed.
        JobCancelledError: It was cancelled.
    """
    if job.status == "cancelled":
        raise JobCancelledError(f"job {job.id} was cancelled", job_id=job.id)
    if job.status == "failed":
        reason = job.failure
        raise JobFailedError(
            f"job {job.id} failed: {(reason and reason.message) or 'the service gives no reason'}",
            job_id=job.id,
            code=reason.code if reason else None,
            param=reason.param if reason else None,
        )
    return job


async def job_results(caller: Caller, job: FineTuningJob | str) -> JobResults:
    """Download what a job measured; see `Jobs.results`."""
    job_id = job if isinstance(job, str) else job.id
    # A job at hand may be from before its end.
    deadline = caller.deadline("fine_tuning.jobs.results")
    state = await caller.call(RetrieveFineTuningJob(job_id), deadline=deadline)
    if not state.result_files:
        raise JobError(
            f"job {job_id} has no result file: it is {state.status}; "
            "a job writes one when it succeeds",
            job_id=job_id,
        )
    return await read_results(caller, job_id, state.result_files[0], deadline)


async def read_results(caller: Caller, job_id: str, file_id: str, deadline: Deadline) -> JobResults:
    """Download and read a result file."""
    content = await caller.call(DownloadFile(file_id), deadline=deadline)
    return JobResults(job_id, parse_results(content))
