"""Virtual time passes while all tasks wait, in order, on both event loops."""

from math import inf

import anyio
import anyio.lowlevel
import pytest

from tunesmith.clock import EPOCH_S, VirtualClock

pytestmark = pytest.mark.anyio


async def test_an_hour_passes_at_once():
    clock = VirtualClock()
    await clock.sleep(3600)
    assert clock.time() == EPOCH_S + 3600
    assert clock.monotonic() == 3600


async def test_sleepers_wake_in_order_of_their_wake_times():
    clock, woken = VirtualClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async with anyio.create_task_group() as group:
        for seconds in (5, 1, 3, 3600, 3):
            group.start_soon(sleeper, seconds)
    assert woken == [(1, 1), (3, 3), (3, 3), (5, 5), (3600, 3600)]


@pytest.mark.parametrize("pass_time", ["autojump", "jump", "rate"])
async def test_sleepers_due_at_once_wake_in_the_order_of_their_calls(
    pass_time,
):
    clock, woken = VirtualClock(autojump=pass_time == "autojump"), []

    async def sleeper(number):
        await clock.sleep(60)
        woken.append(number)

    async with anyio.create_task_group() as group:
        with clock.hold():
            for number in range(20):
                # One after the other: a loop may also start tasks in any order.
                group.start_soon(sleeper, number)
                while clock._sleepers._number == number:
                    await anyio.lowlevel.checkpoint()
        if pass_time == "jump":
            clock.jump(3600)
        elif pass_time == "rate":
            clock.rate = 1e9
    assert woken == list(range(20))


async def test_a_sleeper_due_during_the_work_of_others_wakes_when_it_ends():
    clock, woken = VirtualClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as group:
        with clock.hold():
            for seconds in (60, 5):
                group.start_soon(sleeper, seconds)
            await anyio.wait_all_tasks_blocked()
            clock.jump(60)
            await anyio.wait_all_tasks_blocked()
    assert woken == [5, 60]


async def test_a_deadline_cancels_a_block_that_sleeps_longer():
    clock = VirtualClock()
    with pytest.raises(TimeoutError), clock.fail_after(5):
        await clock.sleep(inf)
    assert clock.monotonic() == 5


async def test_an_unreached_deadline_does_nothing():
    clock = VirtualClock()
    with clock.fail_after(5):
        await clock.sleep(3)
    await clock.sleep(10)
    assert clock.monotonic() == 13


async def test_the_inner_of_two_deadlines_fires_first():
    clock = VirtualClock()
    with clock.fail_after(10), pytest.raises(TimeoutError), clock.fail_after(5):
        await clock.sleep(inf)
    assert clock.monotonic() == 5


async def test_without_autojump_time_passes_only_by_jumps():
    clock, woken = VirtualClock(autojump=False), []

    async def sleeper():
        await clock.sleep(60)
        woken.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        await anyio.wait_all_tasks_blocked()
        clock.jump(59)
        await anyio.wait_all_tasks_blocked()
        assert woken == []
        clock.jump(1)
    assert woken == [60]


async def test_time_does_not_pass_while_a_task_works():
    clock, order = VirtualClock(), []

    async def worker():
        with clock.hold():
            await anyio.to_thread.run_sync(order.append, "work")
            await anyio.to_thread.run_sync(order.append, clock.monotonic())

    async def sleeper():
        await clock.sleep(60)
        order.append("woken")

    async with anyio.create_task_group() as group:
        group.start_soon(worker)
        group.start_soon(sleeper)
    assert order == ["work", 0, "woken"]


async def test_time_waits_for_external_events(monkeypatch):
    monkeypatch.setattr("tunesmith.clock._EXTERNAL_IO_GRACE_S", inf)
    clock, order = VirtualClock(), []

    async def reader():
        for _ in range(5):
            with clock.external_io():
                await anyio.to_thread.run_sync(order.append, clock.monotonic())

    async def sleeper():
        await clock.sleep(60)
        order.append("woken")

    async with anyio.create_task_group() as group:
        group.start_soon(reader)
        group.start_soon(sleeper)
    assert order == [0, 0, 0, 0, 0, "woken"]


async def test_time_does_not_wait_for_external_events_that_wait_for_time():
    clock = VirtualClock()
    ready = anyio.Event()

    async def maker():
        await clock.sleep(60)
        ready.set()

    async with anyio.create_task_group() as group:
        group.start_soon(maker)
        with clock.external_io():
            await ready.wait()
    assert clock.monotonic() == 60


async def test_external_events_may_take_virtual_time(monkeypatch):
    monkeypatch.setattr("tunesmith.clock._EXTERNAL_IO_GRACE_S", inf)
    clock = VirtualClock()
    with clock.external_io():
        await clock.sleep(3600)
    assert clock.monotonic() == 3600


async def test_a_cancelled_sleeper_does_not_delay_the_others():
    clock = VirtualClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 1)
        group.cancel_scope.cancel()
    await clock.sleep(5)
    assert clock.monotonic() == 5


def test_one_clock_serves_several_event_loops_in_turn():
    clock = VirtualClock()
    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(clock.sleep, 10, backend=backend)
    assert clock.monotonic() == 30


def test_a_jump_into_the_past_is_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        VirtualClock().jump(-1)


async def test_unreached_deadlines_do_not_accumulate():
    clock = VirtualClock()
    for _ in range(1000):
        with clock.fail_after(600):
            pass
    assert len(clock._deadlines._heap) < 10


async def test_a_deadline_set_later_wakes_an_endless_sleeper():
    clock, seen = VirtualClock(), []

    async def stalled():
        with pytest.raises(TimeoutError), clock.fail_after(30):
            await clock.sleep(inf)
        seen.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, inf)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(stalled)
        while not seen:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert seen == [30]


async def test_at_a_rate_time_passes_without_jumps():
    clock = VirtualClock(autojump=False, rate=1e6)  # an hour in 3.6 ms
    await clock.sleep(3600)
    assert clock.monotonic() >= 3600


async def test_at_a_rate_sleepers_wake_in_order_of_their_wake_times():
    clock, woken = VirtualClock(autojump=False, rate=1e-5), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as group:
        for seconds in (3600, 60, 1800):
            group.start_soon(sleeper, seconds)
        await anyio.wait_all_tasks_blocked()
        clock.rate = 1e5
    assert woken == [60, 1800, 3600]


async def test_at_a_rate_a_deadline_fires():
    clock = VirtualClock(autojump=False, rate=1e6)
    with pytest.raises(TimeoutError), clock.fail_after(3600):
        await anyio.sleep_forever()
    assert clock.monotonic() >= 3600


async def test_a_changed_rate_applies_to_present_sleepers():
    clock, late = VirtualClock(autojump=False, rate=1e-6), []

    async def waiting():
        try:
            with clock.fail_after(7200):
                await anyio.sleep_forever()
        except TimeoutError:
            late.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(waiting)
        group.start_soon(clock.sleep, 3600)
        await anyio.wait_all_tasks_blocked()
        clock.rate = 1e6
    assert late[0] >= 7200


async def test_a_jump_adds_to_the_rate():
    clock = VirtualClock(autojump=False, rate=1)
    with clock.fail_after(86_400):
        async with anyio.create_task_group() as group:
            group.start_soon(clock.sleep, 3600)
            await anyio.wait_all_tasks_blocked()
            clock.jump(3600)
    assert 3600 <= clock.monotonic() < 7200


async def test_time_stops_without_a_rate():
    clock = VirtualClock(rate=1e6)
    clock.rate = 0
    before = clock.time()
    await anyio.lowlevel.checkpoint()
    assert clock.time() == before


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="rate=-1"):
        VirtualClock(rate=-1)
