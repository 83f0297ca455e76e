"""What is due happens in order, once, and for whoever asks first."""

import anyio
import anyio.lowlevel
import pytest

from tunesmith.clock import EPOCH_S, VirtualClock
from tunesmith.service.core.scheduler import Scheduler

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def schedule(clock):
    return Scheduler(clock)


@pytest.fixture
def note():
    """Makes actions that note their name and when they were due."""

    def make(name):
        async def action(at):
            make.notes.append((name, at - EPOCH_S))

        return action

    make.notes = []
    return make


async def test_nothing_happens_before_its_time(clock, schedule, note):
    schedule.call_at(EPOCH_S + 5, note("a"))
    clock.jump(4)
    await schedule.run_due()
    assert note.notes == []
    assert schedule.next_due_at() == EPOCH_S + 5


async def test_what_is_due_happens_in_the_order_of_its_times(clock, schedule, note):
    for name, at in (("late", 3), ("early", 1), ("second", 3)):
        schedule.call_at(EPOCH_S + at, note(name))
    clock.jump(10)
    await schedule.run_due()
    await schedule.run_due()
    assert note.notes == [("early", 1), ("late", 3), ("second", 3)]
    assert schedule.next_due_at() is None


async def test_what_follows_from_an_action_happens_at_its_own_time(clock, schedule, note):
    async def first(at):
        schedule.call_at(at + 1, note("follows"))

    schedule.call_at(EPOCH_S + 1, first)
    schedule.call_at(EPOCH_S + 3, note("last"))
    clock.jump(10)
    await schedule.run_due()
    assert note.notes == [("follows", 2), ("last", 3)]


async def test_an_operation_leaves_actions_beyond_its_patience_to_the_next(clock, note):
    schedule = Scheduler(clock, patience=0)
    for name in "ab":
        schedule.call_at(EPOCH_S, note(name))
    await schedule.run_due()
    assert note.notes == [("a", 0)]
    await schedule.run_due()
    assert note.notes == [("a", 0), ("b", 0)]


async def test_what_is_dropped_does_not_happen(clock, schedule, note):
    schedule.call_at(EPOCH_S + 1, note("a")).cancel()
    clock.jump(10)
    await schedule.run_due()
    assert note.notes == []


async def test_others_wait_for_whoever_settles_and_nothing_happens_twice(schedule, note):
    async def slow(at):
        await anyio.lowlevel.checkpoint()
        await note("slow")(at)

    schedule.call_at(EPOCH_S, slow)
    seen = []

    async def ask():
        await schedule.run_due()
        seen.append(len(note.notes))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
    assert seen == [1, 1, 1]


async def test_what_was_cancelled_half_way_is_begun_again_by_the_next(schedule, note):
    begun = []

    async def stuck_at_first(at):
        begun.append(at)
        if len(begun) == 1:
            await anyio.sleep_forever()
        await note("done")(at)

    schedule.call_at(EPOCH_S, stuck_at_first)
    async with anyio.create_task_group() as group:
        group.start_soon(schedule.run_due)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    await schedule.run_due()
    assert note.notes == [("done", 0)]


async def test_an_action_may_ask_the_service_itself(clock, schedule, note):
    async def asks(at):
        await schedule.run_due()
        await note("asked")(at)

    schedule.call_at(EPOCH_S, asks)
    with anyio.fail_after(5):
        await schedule.run_due()
    assert note.notes == [("asked", 0)]


async def test_in_the_background_actions_run_when_they_are_due(clock, schedule, note):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(schedule.run)
        await anyio.wait_all_tasks_blocked()
        schedule.call_at(EPOCH_S + 5, note("later"))
        schedule.call_at(EPOCH_S, note("now"))
        await anyio.wait_all_tasks_blocked()
        assert note.notes == [("now", 0)]
        clock.jump(5)
        await anyio.wait_all_tasks_blocked()
        assert note.notes == [("now", 0), ("later", 5)]
        tasks.cancel_scope.cancel()


async def test_in_the_background_no_action_waits_for_another(schedule, note):
    async def blocked(_):
        await anyio.sleep_forever()

    schedule.call_at(EPOCH_S, blocked)
    schedule.call_at(EPOCH_S, note("other"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(schedule.run)
        await anyio.wait_all_tasks_blocked()
        await schedule.run_due()  # does not wait either
        assert note.notes == [("other", 0)]
        tasks.cancel_scope.cancel()


async def test_a_cancelled_action_ends_at_its_next_check(schedule, note):
    async def action(due_at):
        scheduled.cancel()  # as an operation does while the action awaits
        await anyio.lowlevel.checkpoint()
        schedule.check_cancelled()
        await note("changed state")(due_at)

    scheduled = schedule.call_at(EPOCH_S, action)
    await schedule.run_due()
    assert note.notes == []


async def test_an_action_that_fails_in_the_background_is_logged(schedule, note, caplog):
    async def fails(_):
        raise ValueError("out of memory")

    schedule.call_at(EPOCH_S, fails)
    schedule.call_at(EPOCH_S, note("other"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(schedule.run)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert note.notes == [("other", 0)]
    assert "out of memory" in caplog.text
