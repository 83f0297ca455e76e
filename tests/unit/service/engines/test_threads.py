"""Synchronous engines work in threads, and no step or token of them is lost."""

import asyncio
import threading

import anyio
import pytest

from tunesmith.service.engines import Hyperparameters, Metrics, TrainingStep
from tunesmith.service.engines.generation import GenerationSpec
from tunesmith.service.engines.ngram.engine import base_model
from tunesmith.service.engines.threads import ThreadedGeneration, ThreadedTrainingRun

pytestmark = pytest.mark.anyio


class Steps:
    """A training of given steps, which waits for `go` before each."""

    hyperparameters = Hyperparameters(n_epochs=4, batch_size=2, learning_rate_multiplier=1.0)

    def __init__(self, n=8, fails_at=None, n_made=None):
        self.total_steps = n
        self.n_made = n_made or n
        self.fails_at = fails_at
        self.last = 0
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __iter__(self):
        for step in range(1, self.n_made + 1):
            self.begun.set()
            self.go.wait()
            if step == self.fails_at:
                raise ValueError("out of memory")
            self.last = step
            metrics = Metrics(1 / step, 0.5)
            is_last = step % 2 == 0
            epoch = (step + 1) // 2
            yield TrainingStep(step, epoch, step, step, metrics, is_checkpoint=is_last)

    def snapshot(self):
        step = self.last
        return lambda folder: folder.write_text(str(step))


async def advance(run, n_known):
    """Return the number of the step after those that are known."""
    return (await run.poll(n_known)).steps[0].step


async def test_steps_come_in_order_until_the_training_is_finished():
    run = ThreadedTrainingRun(Steps())
    assert [await advance(run, n) for n in range(8)] == list(range(1, 9))
    assert (await run.poll(8)).is_finished


async def test_steps_can_be_asked_for_again():
    run = ThreadedTrainingRun(Steps())
    first = [await advance(run, n) for n in range(8)]
    assert [await advance(run, n) for n in range(8)] == first


@pytest.mark.parametrize("step", [4, 6, 8])
async def test_the_weights_of_the_last_three_epochs_can_be_saved(tmp_path, step):
    run = ThreadedTrainingRun(Steps())
    while not (await run.poll(7)).is_finished:
        pass
    await run.save(step, tmp_path / "weights")
    assert (tmp_path / "weights").read_text() == str(step)


async def test_weights_are_computed_again_after_the_process_was_killed(tmp_path):
    run = ThreadedTrainingRun(Steps())
    await run.save(8, tmp_path / "weights")
    assert (tmp_path / "weights").read_text() == "8"


async def test_an_error_belongs_to_its_step_however_far_the_engine_was_ahead():
    run = ThreadedTrainingRun(Steps(fails_at=4))
    for n in range(3):
        await advance(run, n)
    with pytest.raises(ValueError, match="out of memory"):
        await run.poll(3)


async def test_a_training_may_end_before_its_last_step():
    run = ThreadedTrainingRun(Steps(n_made=2))
    progress = await run.poll(0)
    while not progress.is_finished:
        progress = await run.poll(2)
    assert (await run.poll(0)).steps[-1].step == 2


async def test_cancelling_whoever_waits_loses_no_step():
    training = Steps()
    training.go.clear()
    run = ThreadedTrainingRun(training)
    async with anyio.create_task_group() as group:
        group.start_soon(run.poll, 0)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        training.go.set()
    assert [await advance(run, n) for n in range(8)] == list(range(1, 9))


def test_asyncios_own_cancellation_loses_no_step_either():
    training = Steps()
    run = ThreadedTrainingRun(training)

    async def main():
        training.go.clear()
        waiting = asyncio.create_task(run.poll(0))
        await asyncio.to_thread(training.begun.wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        training.go.set()
        return [await advance(run, n) for n in range(8)]

    assert asyncio.run(main()) == list(range(1, 9))


async def test_a_generation_in_a_thread_has_the_same_tokens():
    model, spec = base_model(), GenerationSpec(max_tokens=20, seed=3)
    prompt = model.tokenizer.encode("The")
    expected = list(model.weights.sample(prompt, spec))
    generation = ThreadedGeneration(model.weights.sample(prompt, spec))
    assert [token async for token in generation] == expected
    assert (generation.finish_reason, generation.n_tokens) == ("length", 20)


async def test_a_closed_generation_computes_no_further_token():
    model, spec = base_model(), GenerationSpec(max_tokens=20)
    generation = ThreadedGeneration(model.weights.sample([0], spec))
    await generation.aclose()
    assert [token async for token in generation] == []
    assert generation.n_tokens == 0
