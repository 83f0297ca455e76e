"""Whatever its owner does and whenever, a job's history stays in order."""

import json
from contextlib import suppress
from itertools import pairwise

import anyio
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tunesmith.operations.files import CreateFile
from tunesmith.operations.fine_tuning import (
    CancelFineTuningJob,
    CreateFineTuningJob,
    ListFineTuningJobEvents,
    PauseFineTuningJob,
    ResumeFineTuningJob,
    RetrieveFineTuningJob,
)
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.service import Service

_LINE = json.dumps({"prompt": "Kant was ->", "completion": " a philosopher."}).encode()
_FOLLOWS = {
    "validating_files": {"queued", "cancelled"},
    "queued": {"running", "paused", "cancelled"},
    "running": {"succeeded", "paused", "cancelled"},
    "paused": {"queued", "cancelled"},
}

_actions = st.sampled_from([CancelFineTuningJob, PauseFineTuningJob, ResumeFineTuningJob])
_moments = st.lists(st.tuples(st.integers(0, 60), st.none() | _actions), max_size=12)


@pytest.mark.slow
@given(_moments)
@settings(max_examples=40)
def test_states_follow_each_other_and_events_their_times(moments):
    states, events = anyio.run(_live, moments)
    for before, after in pairwise(states):
        assert after in _reachable(before), f"{after} came after {before}"
    times = [event.created_at for event in events]
    assert times == sorted(times)
    assert len({event.id for event in events}) == len(events)
    steps = [event.data["step"] for event in events if event.type == "metrics"]
    assert steps == list(range(1, len(steps) + 1))


async def _live(moments):
    service = Service()
    file = await service.execute(CreateFile(file=b"\n".join([_LINE] * 10), purpose="fine-tune"))
    job = await service.execute(
        CreateFineTuningJob(
            model="davinci-002", training_file=file.id, hyperparameters={"n_epochs": 1}
        )
    )
    states = [job.status]
    for seconds, action in moments:
        service.clock.jump(seconds)
        states.append((await service.execute(RetrieveFineTuningJob(job.id))).status)
        if action is not None:
            with suppress(ServiceError):  # not every action fits every state
                states.append((await service.execute(action(job.id))).status)
    page = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    return states, page.data[::-1]


def _reachable(state):
    """The states that a job may be in later, without its owner looking in between."""
    found, new = {state}, {state}
    while new:
        new = set().union(*(_FOLLOWS.get(s, set()) for s in new)) - found
        found |= new
    return found
