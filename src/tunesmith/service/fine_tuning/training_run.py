"""Training in worker threads."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from tunesmith.clock import VirtualClock
from tunesmith.service.engines.base import (
    EngineModel,
    Hyperparameters,
    Training,
    TrainingSpec,
    TrainingStep,
)

__all__ = ["EvaluationHook", "TrainingRun", "start_training"]

EvaluationHook = Callable[[EngineModel], Mapping[str, float]]
"""Function that returns metrics of a model by name."""

_MAX_SLICE_S = 0.05
_MAX_CHECKPOINTS = 3


class TrainingRun:
    """Training with its steps, and the weights at the end of its last epochs.

    Args:
        training: The engine's training.
        n_examples: Number of examples in an epoch.
        clock: Clock that is held while the engine works.
        evaluate: Function that evaluates the weights after each epoch.
    """

    def __init__(
        self,
        training: Training,
        n_examples: int,
        clock: VirtualClock,
        evaluate: EvaluationHook | None = None,
    ) -> None:
        self.hyperparameters: Hyperparameters = training.hyperparameters
        self.total_steps: int = training.total_steps
        self.steps: list[TrainingStep] = []
        """Steps taken so far."""
        self.weights: dict[int, EngineModel] = {}
        """Weights after the last three epochs, by step."""
        self.evaluations: dict[int, Mapping[str, float]] = {}
        """Results of `evaluate`, by step."""
        self._evaluate = evaluate
        self._training = training
        self._iterator: Iterator[TrainingStep] = iter(training)
        self._n_examples = n_examples
        self._clock = clock
        self._ready: deque[TrainingStep] = deque()
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._is_stopped = False

    async def wait(self) -> None:
        """Wait until `take` can return the next step."""
        self._is_stopped = False
        if not self._ready and self._error is None:
            await self._clock.run_in_thread(self._compute)

    async def skip(self, steps: Sequence[TrainingStep]) -> None:
        """Repeat steps that were taken before the service was opened again.

        Args:
            steps: The steps as they were.
        """

        def repeat() -> None:
            for step in islice(self._iterator, len(steps)):
                if self.ends_epoch(step):
                    self._save_checkpoint(step.step)

        await self._clock.run_in_thread(repeat)
        self.steps += steps

    def stop(self) -> None:
        """Stop the engine after the current step, until the next `wait`."""
        self._is_stopped = True

    def take(self) -> TrainingStep:
        """Return the next step.

        Raises:
            Exception: The engine's error.
        """
        if not self._ready:
            raise self._error or RuntimeError("the engine made fewer steps than it announced")
        step = self._ready.popleft()
        self.steps.append(step)
        return step

    def ends_epoch(self, step: TrainingStep) -> bool:
        """Return whether a step is the last of its epoch."""
        return step.elapsed_examples == step.epoch * self._n_examples

    def _compute(self) -> None:
        # A cancelled caller on asyncio leaves its thread behind, which may still be running.
        with self._lock:
            if self._ready or self._error is not None:
                return
            # Several quick steps share one switch between threads.
            deadline = time.monotonic() + _MAX_SLICE_S
            try:
                for step in self._iterator:
                    if self.ends_epoch(step):
                        self._save_checkpoint(step.step)
                    self._ready.append(step)
                    if self._is_stopped or time.monotonic() >= deadline:
                        return
            except Exception as error:  # noqa: BLE001 - raised with the next step
                self._error = error

    def _save_checkpoint(self, step: int) -> None:
        weights = self.weights[step] = self._training.snapshot()
        if self._evaluate is not None:
            self.evaluations[step] = self._evaluate(weights)
        for outdated in list(self.weights)[:-_MAX_CHECKPOINTS]:
            del self.weights[outdated]


async def start_training(
    clock: VirtualClock,
    model: EngineModel,
    load_spec: Callable[[], TrainingSpec],
    create_hook: Callable[[TrainingSpec], EvaluationHook | None] = lambda _: None,
) -> TrainingRun:
    """Load the training data and create the training, in a worker thread.

    Args:
        clock: Clock that is held meanwhile.
        model: Initial weights.
        load_spec: Function that reads and validates the training data.
        create_hook: Function that returns the evaluation after each epoch.
    """

    def start() -> TrainingRun:
        spec = load_spec()
        return TrainingRun(model.train(spec), len(spec.examples), clock, create_hook(spec))

    return await clock.run_in_thread(start)
