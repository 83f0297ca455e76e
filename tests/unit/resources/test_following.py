"""Following ends with the last events or an error."""

import json

import pytest
from tests.unit.calls.conftest import HANG, Script, answer

from tunesmith import errors
from tunesmith.clock import VirtualClock
from tunesmith.errors import BackendError

pytestmark = pytest.mark.anyio

JOB = {"id": "ftjob-1", "status": "succeeded", "model": "m"}
EVENTS = [
    {"id": "e2", "created_at": 2, "message": "The job has successfully completed"},
    {"id": "e1", "created_at": 1, "message": "Step 1"},
]


class Service(Script):
    """Service whose operations are unreachable for some seconds."""

    def __init__(self, **unreachable_s):
        super().__init__()
        self.clock = VirtualClock()
        self.unreachable_s = unreachable_s

    def send(self, request):
        name = request.operation.rpartition(".")[2]
        if self.clock.monotonic() < self.began + self.unreachable_s.get(name, 0):
            step = BackendError("reset", phase="read")
        else:
            body = JOB if name == "retrieve" else {"data": EVENTS, "has_more": False}
            step = answer(json.dumps(body).encode())
        self.steps = [step]
        return super().send(request)

    async def follow(self):
        self.began = self.clock.monotonic()
        client = self.client(max_retries=0)
        return [event.id async for event in client.fine_tuning.jobs.follow("ftjob-1")]


@pytest.mark.parametrize("name", ["retrieve", "list_events"])
@pytest.mark.parametrize("seconds", [0, 40, 290])
async def test_events_that_are_out_of_reach_for_a_while_are_waited_for(name, seconds):
    assert await Service(**{name: seconds}).follow() == ["e1", "e2"]


async def test_events_that_stay_out_of_reach_are_an_error():
    with pytest.raises(errors.APIConnectionError):
        await Service(list_events=1000).follow()


async def test_events_are_delivered_while_the_job_is_out_of_reach():
    service = Service(retrieve=100)
    service.began = service.clock.monotonic()
    follow = service.client(max_retries=0).fine_tuning.jobs.follow("ftjob-1")
    assert (await anext(follow)).id == "e1"
    assert service.clock.monotonic() < service.began + 100


async def test_each_failure_is_tolerated_for_its_own_time():
    class Unsteady(Service):
        """Service whose operations are out of reach again and again, in turn."""

        def send(self, request):
            elapsed_s = self.clock.monotonic() - self.began
            is_list = request.operation.endswith("list_events")
            self.unreachable_s = {"list_events" if is_list else "retrieve": 0}
            if elapsed_s < 1000 and is_list == bool(elapsed_s // 200 % 2):
                self.unreachable_s = {request.operation.rpartition(".")[2]: 1000}
            return super().send(request)

    service = Unsteady()
    assert await service.follow() == ["e1", "e2"]


async def test_a_last_event_ends_following_also_if_the_job_is_found_finished_later():
    service = Service(retrieve=1)
    assert await service.follow() == ["e1", "e2"]
    assert service.clock.monotonic() < service.began + 10


class Hanging(Script):
    """Service of a running job that hangs from one of its calls of an operation on."""

    def __init__(self, name, number):
        super().__init__()
        self.name, self.left = name, number

    def send(self, request):
        name = request.operation.rpartition(".")[2]
        body = JOB | {"status": "running"} if name == "retrieve" else {"data": EVENTS[1:]}
        self.left -= name == self.name
        self.steps = [HANG if self.left < 0 else answer(json.dumps(body).encode())]
        return super().send(request)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("name", ["retrieve", "list_events"])
@pytest.mark.parametrize(("of_client", "of_call"), [(9, None), (None, 9), (5000, 9)])
async def test_following_ends_at_its_deadline_whatever_hangs(name, number, of_client, of_call):
    service = Hanging(name, number)
    began = service.clock.monotonic()
    jobs = service.client(max_retries=0, deadline=of_client).fine_tuning.jobs
    with pytest.raises(errors.DeadlineExceededError, match=r"fine_tuning\.jobs\.follow"):
        [event async for event in jobs.follow("ftjob-1", deadline=of_call)]
    assert service.clock.monotonic() == began + 9


async def test_a_deadline_that_passes_between_polls_names_what_was_waited_for():
    service = Hanging("retrieve", 10**9)
    began = service.clock.monotonic()
    with pytest.raises(errors.DeadlineExceededError, match="waiting for the job"):
        await service.client().fine_tuning.jobs.wait("ftjob-1", deadline=9, poll_interval=2)
    assert service.clock.monotonic() <= began + 9
