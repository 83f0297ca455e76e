"""Polling of jobs, batches and files, tolerant of temporary failures."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

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
from tunesmith.resources.event_fetcher import EventFetcher
from tunesmith.types.base import Page
from tunesmith.types.fine_tunes import FineTune
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from tunesmith.types.results import JobResults

__all__ = ["JobEventStream", "read_results", "wait_for_job", "wait_until"]

A = TypeVar("A")
P = TypeVar("P")

_TRANSIENT_ERRORS = (APIConnectionError, InternalServerError, RateLimitError)

_MAX_UNREACHABLE_S = 300.0
"""How long an operation may fail before polling ends with its error."""

_TRAILING_EVENTS_S = 15.0
"""How long to wait for the last events of a finished job; delays of 8 seconds were observed."""

_LAST_MESSAGES = ("the job has successfully completed", "fine-tune succeeded")
_EVENTS_PER_PAGE = 100


class _Poller:
    """Repeated calls that tolerate temporary failures, each operation for a limited time."""

    def __init__(
        self,
        caller: Caller,
        name: str,
        deadline_s: float | None,
        poll_s: float,
        activity: str = "waiting for the job",
    ) -> None:
        validate_poll_interval(poll_s)
        self._caller = caller
        self._poll_s = poll_s
        self._activity = activity
        seconds = caller.policy.deadline_s if deadline_s is None else deadline_s
        self.deadline = Deadline(caller.clock, seconds, name)
        self._failing_since: dict[str, float] = {}
        self._events = EventFetcher(caller, self.deadline, poll_s)

    async def poll(self, operation: Operation[A]) -> A | None:
        """Call an operation; return None after a temporary failure."""
        return await self._tolerate(operation.spec.name, self._call, operation)

    async def poll_events(
        self, operation: ListFineTuningJobEvents
    ) -> Page[FineTuningJobEvent] | None:
        """List events, also those of a service that streams them."""
        return await self._tolerate(operation.spec.name, self._events.fetch, operation)

    async def _call(self, operation: Operation[A]) -> A:
        return await self._caller.call(operation, deadline=self.deadline)

    async def _tolerate(
        self, name: str, call: Callable[[P], Awaitable[A]], operation: P
    ) -> A | None:
        try:
            response = await call(operation)
        except _TRANSIENT_ERRORS:
            if self.now() - self._failing_since.setdefault(name, self.now()) > _MAX_UNREACHABLE_S:
                raise
            return None
        self._failing_since.pop(name, None)
        return response

    async def pause(self) -> None:
        await self.deadline.sleep(self._poll_s, activity=self._activity)

    def now(self) -> float:
        return self._caller.clock.monotonic()


class JobEventStream:
    """Iterator over the events of a job as they arrive; see `Jobs.follow`.

    Not a generator, which would stay open until garbage collection when left early.
    """

    def __init__(
        self, caller: Caller, job: FineTuningJob | str, *, deadline_s: float | None, poll_s: float
    ) -> None:
        self._job_id = job if isinstance(job, str) else job.id
        self._poller = _Poller(caller, "fine_tuning.jobs.follow", deadline_s, poll_s)
        self._seen: set[str] = set()
        self._waiting: deque[FineTuningJobEvent] = deque()
        self._has_polled = False
        self._has_last = False
        self._quiet_since: float | None = None
        self._is_complete = False

    def __aiter__(self) -> AsyncIterator[FineTuningJobEvent]:
        return self

    async def __anext__(self) -> FineTuningJobEvent:
        while not self._waiting:
            if self._is_complete:
                raise StopAsyncIteration
            if self._has_polled:
                await self._poller.pause()
            self._has_polled = True
            await self._poll_events()
        return self._waiting.popleft()

    async def _poll_events(self) -> None:
        # The job comes first: events added after it are found in this round or a later one.
        job = await self._poller.poll(RetrieveFineTuningJob(self._job_id))
        events = await _list_new_events(self._poller, self._job_id, self._seen)
        if events is None:
            return
        self._seen.update(event.id for event in events)
        self._waiting.extend(events)
        # The last event may be found before the job is, in the round in which it finishes.
        self._has_last |= any(e.message.lower().startswith(_LAST_MESSAGES) for e in events)
        if job is None or not job.is_finished:
            return
        # Silence counts only while the events can be listed.
        if events or self._quiet_since is None:
            self._quiet_since = self._poller.now()
        quiet_s = self._poller.now() - self._quiet_since
        self._is_complete = self._has_last or quiet_s >= _TRAILING_EVENTS_S


async def _list_new_events(
    poller: _Poller, job_id: str, seen: set[str]
) -> list[FineTuningJobEvent] | None:
    """Return the new events, oldest first; None if a page could not be listed."""
    events: dict[str, FineTuningJobEvent] = {}
    after: str | None = None
    while True:
        page: Page[FineTuningJobEvent] | None = await poller.poll_events(
            ListFineTuningJobEvents(job_id, after=after, limit=_EVENTS_PER_PAGE)
        )
        if page is None:
            return None  # some of the events would be out of order
        for event in page.data:
            if event.id not in seen:
                events[event.id] = event
        last = page.data[-1].id if page.data else after
        if not page.has_more or last == after or last in seen:
            return list(reversed(events.values()))
        after = last


async def wait_until(
    caller: Caller,
    name: str,
    operation: Operation[A],
    is_over: Callable[[A], bool],
    *,
    deadline_s: float | None,
    poll_s: float,
    activity: str,
) -> A:
    """Call an operation until its response is final, and return it.

    Args:
        caller: The caller.
        name: Name of the method, for errors.
        operation: The operation.
        is_over: Function that returns whether a response is final.
        deadline_s: Seconds to wait; the deadline of the policy if None.
        poll_s: Seconds between calls.
        activity: Purpose of the pauses, for errors.

    Raises:
        DeadlineExceededError: The deadline passed.
    """
    poller = _Poller(caller, name, deadline_s, poll_s, activity)
    while True:
        polled = await poller.poll(operation)
        if polled is not None and is_over(polled):
            return polled
        await poller.pause()


async def wait_for_job(
    caller: Caller, job: FineTuningJob | str, *, deadline_s: float | None, poll_s: float
) -> FineTuningJob:
    """Wait until a job is finished; see `Jobs.wait`."""
    finished = await wait_until(
        caller,
        "fine_tuning.jobs.wait",
        RetrieveFineTuningJob(job if isinstance(job, str) else job.id),
        lambda polled: polled.is_finished,
        deadline_s=deadline_s,
        poll_s=poll_s,
        activity="waiting for the job",
    )
    return raise_for_status(finished)


def raise_for_status(job: FineTuningJob) -> FineTuningJob:
    """Return a job that succeeded.

    Raises:
        JobFailedError: The job failed.
        JobCancelledError: The job was cancelled.
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


async def read_results(caller: Caller, operation: str, retrieve: Operation[Any]) -> JobResults:
    """Download and parse the result file of a job.

    Args:
        caller: The caller.
        operation: Name of the whole operation.
        retrieve: Retrieves the job, since the status that the user has may be outdated.

    Raises:
        JobError: The job has no result file (yet).
    """
    deadline = caller.deadline(operation)
    job: FineTuningJob | FineTune = await caller.call(retrieve, deadline=deadline)
    if not job.result_files:
        raise JobError(
            f"job {job.id} has no result file: it is {job.status}; "
            "a job writes one when it succeeds",
            job_id=job.id,
        )
    file = job.result_files[0]
    download = DownloadFile(file if isinstance(file, str) else file.id)
    content = await caller.call(download, deadline=deadline)
    return JobResults(job.id, parse_results(content))
