"""Generation and training of engines whose code is synchronous, in worker threads."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from anyio.to_thread import run_sync

from tunesmith.service.engines.generation import FinishReason, ScoredToken
from tunesmith.service.engines.training import Hyperparameters, Progress, TrainingStep

__all__ = [
    "SyncGeneration",
    "SyncTraining",
    "ThreadedGeneration",
    "ThreadedTrainingRun",
]

_MAX_SLICE_S = 0.05
"""Quick tokens and steps share one switch between threads."""

_MAX_CHECKPOINTS = 3

SaveWeights = Callable[[Path], None]
"""Function that writes weights to a folder."""


class SyncGeneration(Protocol):
    """Completion that is generated while it is iterated over."""

    finish_reason: FinishReason | None
    n_tokens: int

    def __iter__(self) -> Iterator[ScoredToken]: ...


class ThreadedGeneration:
    """Generation whose tokens are computed in worker threads.

    Args:
        inner: Iterator of the tokens.
    """

    def __init__(self, inner: SyncGeneration) -> None:
        self._inner = inner
        self._iterator = iter(inner)
        self._ready: deque[ScoredToken] = deque()
        self._is_closed = False

    @property
    def finish_reason(self) -> FinishReason | None:
        """`stop` or `length`; None until the end."""
        return None if self._ready else self._inner.finish_reason

    @property
    def n_tokens(self) -> int:
        """Number of tokens generated so far."""
        return self._inner.n_tokens

    def __aiter__(self) -> "ThreadedGeneration":
        return self

    async def __anext__(self) -> ScoredToken:
        """Return the next token."""
        if not self._ready and not self._is_closed:
            self._ready.extend(await run_sync(self._take_slice))
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Compute no further token."""
        self._is_closed = True

    def _take_slice(self) -> list[ScoredToken]:
        deadline = time.monotonic() + _MAX_SLICE_S
        result: list[ScoredToken] = []
        for token in self._iterator:
            result.append(token)
            if self._is_closed or time.monotonic() >= deadline:
                break
        return result


class SyncTraining(Protocol):
    """Training that is computed while it is iterated over, from its beginning.

    Its steps depend on its inputs alone, so a training that was killed is continued by computing
    them again.
    """

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters."""
        ...

    @property
    def total_steps(self) -> int:
        """Number of steps of all epochs."""
        ...

    def __iter__(self) -> Iterator[TrainingStep]:
        """Yield each completed step."""
        ...

    def snapshot(self) -> SaveWeights:
        """Return a function that writes the weights after the last completed step."""
        ...


class ThreadedTrainingRun:
    """Training whose steps are computed in worker threads.

    Args:
        training: Iterator of the steps.
    """

    def __init__(self, training: SyncTraining) -> None:
        self.hyperparameters: Hyperparameters = training.hyperparameters
        self.total_steps: int = training.total_steps
        self._training = training
        self._iterator = iter(training)
        self._steps: list[TrainingStep] = []
        self._weights: dict[int, SaveWeights] = {}
        self._is_finished = False
        self._is_stopped = False
        self._error: Exception | None = None
        self._lock = threading.Lock()

    async def start(self) -> None:
        """Start or continue the training."""
        self._is_stopped = False

    async def poll(self, after: int, /) -> Progress:
        """Return the steps after a number of steps; see `TrainingRun.poll`."""
        if self._must_compute(after):
            await run_sync(lambda: self._compute(after))
        steps = self._steps[after:]
        if self._error is not None and not steps:
            raise self._error
        return Progress(steps, self._is_finished)

    async def save(self, step: int, folder: Path, /) -> None:
        """Write the weights after a step to a folder."""
        while len(self._steps) < step and not self._is_finished:
            await self.poll(len(self._steps))
        await run_sync(lambda: self._weights[step](folder))

    def pause(self) -> None:
        """Stop after the step in progress."""
        self._is_stopped = True

    def cancel(self) -> None:
        """Stop after the step in progress."""
        self._is_stopped = True

    def _must_compute(self, after: int) -> bool:
        return len(self._steps) <= after and not self._is_finished and self._error is None

    def _compute(self, after: int) -> None:
        # A cancelled caller on asyncio leaves its thread behind, which may still be running.
        with self._lock:
            deadline = time.monotonic() + _MAX_SLICE_S
            try:
                while self._must_compute(after) or time.monotonic() < deadline:
                    step = next(self._iterator, None)
                    if step is None:
                        self._is_finished = True
                        return
                    if step.is_checkpoint:
                        self._weights[step.step] = self._training.snapshot()
                        for outdated in list(self._weights)[:-_MAX_CHECKPOINTS]:
                            del self._weights[outdated]
                    self._steps.append(step)
                    self._is_finished = step.step >= self.total_steps
                    if self._is_stopped or self._is_finished:
                        return
                    # Further checkpoints would discard this one before it can be saved.
                    if step.is_checkpoint and not self._must_compute(after):
                        return
            except Exception as error:  # noqa: BLE001 - raised with the next step
                self._error = error
