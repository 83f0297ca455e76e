"""A training run, advanced in a worker thread, with what a job keeps of it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from tunesmith.clock import VirtualClock
from tunesmith.service.core.threads import run_in_thread
from tunesmith.service.engines.base import (
    EngineModel,
    Hyperparameters,
    Training,
    TrainingSpec,
    TrainingStep,
)

__all__ = ["EvaluationHook", "TrainingRun", "start_training"]

EvaluationHook = Callable[[EngineModel], Mapping[str, float]]
"""Gives measurements of weights by name."""

_MAX_SLICE_S = 0.05
_MAX_CHECKPOINTS = 3


class TrainingRun:
    """Advances a training and remembers its steps, and the weights at the end of epochs.

    Args:
        training: What the engine trains.
        n_examples: How many examples an epoch has.
        clock: Stands still while the engine works.
        evaluate: Measures the weights after each epoch.
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
        """The steps that `advance` gave."""
        self.weights: dict[int, EngineModel] = {}
        """Those after the last three epochs, by step."""
        self.measured: dict[int, Mapping[str, float]] = {}
        """What `evaluate` found after each epoch, by step."""
        self._measure = evaluate
        self._training = training
        self._iterator: Iterator[TrainingStep] = iter(training)
        self._n_examples = n_examples
        self._clock = clock
        self._ahead: deque[TrainingStep] = deque()
        self._error: Exception | None = None
        self._at_work = threading.Lock()

    async def advance(self) -> TrainingStep:
        """Take the next step.

        Raises:
            Exception: What the engine raised instead.
        """
        if not self._ahead and self._error is None:
            await run_in_thread(self._clock, self._compute)
        if not self._ahead:
            raise self._error or RuntimeError("the engine made fewer steps than it said")
        step = self._ahead.popleft()
        self.steps.append(step)
        return step

    def ends_epoch(self, step: TrainingStep) -> bool:
        """Tell whether a step was the last one of its epoch."""
        return step.elapsed_examples == step.epoch * self._n_examples

    def _compute(self) -> None:
        # asyncio's own cancellation leaves a thread behind, which may still be at work.
        with self._at_work:
            if self._ahead or self._error is not None:
                return
            # Several quick steps share a way to the thread and back; what they give is the same.
            until = time.monotonic() + _MAX_SLICE_S
            try:
                for step in self._iterator:
                    if self.ends_epoch(step):
                        self._save_checkpoint(step.step)
                    self._ahead.append(step)
                    if time.monotonic() >= until:
                        return
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the next step
                self._error = error

    def _save_checkpoint(self, step: int) -> None:
        weights = self.weights[step] = self._training.snapshot()
        if self._measure is not None:
            self.measured[step] = self._measure(weights)
        for outdated in list(self.weights)[:-_MAX_CHECKPOINTS]:
            del self.weights[outdated]


async def start_training(
    clock: VirtualClock,
    model: EngineModel,
    read: Callable[[], TrainingSpec],
    evaluation_factory: Callable[[TrainingSpec], EvaluationHook] | None = None,
) -> TrainingRun:
    """Read what to train on, and get ready to.

    Args:
        clock: Stands still meanwhile.
        model: The weights to start from.
        read: Reads and checks the examples; it runs in a worker thread.
        evaluation_factory: Makes what measures the weights after each epoch.
    """

    def prepare() -> TrainingRun:
        spec = read()
        measure = evaluation_factory(spec) if evaluation_factory is not None else None
        return TrainingRun(model.train(spec), len(spec.examples), clock, measure)

    return await run_in_thread(clock, prepare)
