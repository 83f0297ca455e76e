"""A training is advanced in a thread, and no step of it is lost."""

import asyncio
import threading

import anyio
import pytest

from tunesmith.clock import VirtualClock
from tunesmith.service.engines.base import Hyperparameters, Metrics, TrainingStep
from tunesmith.service.fine_tuning.training_run import TrainingRun


class Steps:
    """A training of given steps, which waits for `go` before each."""

    hyperparameters = Hyperparameters(n_epochs=4, batch_size=2, learning_rate_multiplier=1.0)

    def __init__(self, n=8, fails_at=None):
        self.total_steps = n
        self.fails_at = fails_at
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __iter__(self):
        for step in range(1, self.total_steps + 1):
            self.begun.set()
            self.go.wait()
            if step == self.fails_at:
                raise ValueError("out of memory")
            metrics = Metrics(1 / step, 0.5, 0.0)
            yield TrainingStep(step, (step + 1) // 2, step * 10, step * 2, metrics)

    def snapshot(self):
        return object()


async def advance(run):
    await run.wait()
    return run.take()


@pytest.mark.anyio
async def test_steps_come_in_order_and_the_last_three_epochs_leave_weights():
    run = TrainingRun(Steps(), n_examples=4, clock=VirtualClock())
    steps = [await advance(run) for _ in range(8)]
    assert [step.step for step in steps] == list(range(1, 9))
    assert [step.step for step in steps if run.ends_epoch(step)] == [2, 4, 6, 8]
    assert list(run.weights) == [4, 6, 8]


@pytest.mark.anyio
async def test_an_error_belongs_to_its_step_however_far_the_engine_was_ahead():
    run = TrainingRun(Steps(fails_at=4), n_examples=4, clock=VirtualClock())
    for _ in range(3):
        await advance(run)
    with pytest.raises(ValueError, match="out of memory"):
        await advance(run)


@pytest.mark.anyio
async def test_an_engine_that_stops_early_is_told_apart_from_one_that_is_done():
    training = Steps(n=2)
    run = TrainingRun(training, n_examples=4, clock=VirtualClock())
    await advance(run)
    await advance(run)
    with pytest.raises(RuntimeError, match="fewer steps"):
        await advance(run)


@pytest.mark.anyio
async def test_cancelling_whoever_waits_loses_no_step():
    training = Steps()
    training.go.clear()
    run = TrainingRun(training, n_examples=4, clock=VirtualClock())
    async with anyio.create_task_group() as group:
        group.start_soon(advance, run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        training.go.set()
    taken = len(run.steps)
    assert [(await advance(run)).step for _ in range(8 - taken)] == list(range(taken + 1, 9))


def test_asyncios_own_cancellation_loses_no_step_either():
    training = Steps()
    run = TrainingRun(training, n_examples=4, clock=VirtualClock())

    async def main():
        training.go.clear()
        waiting = asyncio.create_task(advance(run))
        await asyncio.to_thread(training.begun.wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        training.go.set()
        return [(await advance(run)).step for _ in range(8)]

    assert asyncio.run(main()) == list(range(1, 9))
