"""The life of one fine-tune of the legacy API."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from tunesmith.service.core.store import Collection
from tunesmith.service.engines.base import TrainingSpec
from tunesmith.service.fine_tuning.lifecycle import JobLifecycle, ServiceContext, TransitionAction
from tunesmith.service.fine_tuning.result_files import compiled_results
from tunesmith.service.fine_tuning.timeline import Failure, Timeline, TransitionResult
from tunesmith.service.fine_tuning.training_run import EvaluationHook, start_training
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent

__all__ = ["LegacyFineTuneLifecycle"]


class LegacyFineTuneLifecycle(JobLifecycle):
    """Takes one fine-tune from its creation to its end.

    Args:
        context: What to work with.
        timeline: What happens, and when.
        fine_tune: The fine-tune, as it was created.
        spec: Reads and checks its files; it runs in a worker thread.
        suffix: The text that the owner wants in the model's name.
        metrics_factory: Makes what measures the weights after each epoch.
    """

    def __init__(
        self,
        context: ServiceContext,
        timeline: Timeline,
        fine_tune: FineTune,
        spec: Callable[[], TrainingSpec],
        suffix: str | None,
        metrics_factory: Callable[[TrainingSpec], EvaluationHook] | None = None,
    ) -> None:
        super().__init__(context, timeline, fine_tune.id)
        self._fine_tunes = context.store.collection("fine_tunes", FineTune)
        self._base = fine_tune.model or ""
        self._spec = spec
        self._suffix = suffix
        self._examine = metrics_factory
        self._ahead_in_queue = timeline.queue_length
        self.events: Collection[FineTuneEvent] = context.store.collection(
            "fine_tune_events", FineTuneEvent, parent_id=fine_tune.id
        )
        self._fine_tunes.put(fine_tune.id, fine_tune)
        self._walk.begin(context.clock.time())

    @property
    def fine_tune(self) -> FineTune:
        """The fine-tune as it is now, without its events."""
        fine_tune = self._fine_tunes.get(self._id)
        assert fine_tune is not None  # noqa: S101 - fine-tunes are never deleted
        return fine_tune

    def cancel(self) -> None:
        """End the fine-tune."""
        self._cancel_timers()
        now = self._context.clock.time()
        self._add_event("Fine-tune cancelled", now)
        self._update(now, status="cancelled")

    def _actions(self) -> Mapping[str, TransitionAction]:
        return {
            "announce": self._announce,
            "price": self._emit_cost,
            "enqueue": self._enqueue,
            "wait": self._wait,
            "start": self._start,
            "step": self._step,
            "upload_model": self._upload_model,
            "upload_results": self._upload_results,
            "finish": self._finish,
        }

    async def _announce(self, at: float) -> TransitionResult:
        self._add_event(f"Created fine-tune: {self._id}", at)
        return "next"

    async def _emit_cost(self, at: float) -> TransitionResult:
        weights = self._context.models.resolve(self._base)
        self._training = await start_training(
            self._context.clock, weights, self._spec, self._examine
        )
        self._add_event("Fine-tune costs $0.00", at)
        return "next"

    async def _enqueue(self, at: float) -> TransitionResult:
        self._add_event(f"Fine-tune enqueued. Queue number: {self._ahead_in_queue}", at)
        return "next"

    async def _wait(self, at: float) -> TransitionResult:
        if self._ahead_in_queue == 0:
            return "next"
        self._ahead_in_queue -= 1
        self._add_event(f"Fine-tune is in the queue. Queue number: {self._ahead_in_queue}", at)
        return "repeat" if self._ahead_in_queue else "next"

    async def _start(self, at: float) -> TransitionResult:
        chosen = self._run.hyperparameters
        hyperparams = self.fine_tune.hyperparams
        assert hyperparams is not None  # noqa: S101 - set when it was created
        self._update(
            at,
            hyperparams=hyperparams.model_copy(
                update={
                    "batch_size": chosen.batch_size,
                    "learning_rate_multiplier": chosen.learning_rate_multiplier,
                    "n_epochs": chosen.n_epochs,
                }
            ),
        )
        self._add_event("Fine-tune started", at)
        return "next"

    async def _step(self, at: float) -> TransitionResult:
        run = self._run
        step = await run.advance()
        if run.ends_epoch(step):
            self._add_event(f"Completed epoch {step.epoch}/{run.hyperparameters.n_epochs}", at)
        return "next" if step.step >= run.total_steps else "repeat"

    async def _upload_model(self, at: float) -> TransitionResult:
        name = self._model_name(at)
        weights = self._run.weights[self._run.total_steps]
        self._context.models.register(name, weights, base=self._base, at=at)
        self._update(at, fine_tuned_model=name)
        self._add_event(f"Uploaded model: {name}", at)
        return "next"

    async def _upload_results(self, at: float) -> TransitionResult:
        content = compiled_results(self._run.steps, self._run.measured)
        file = self._context.files.add(
            [content], "compiled_results.csv", "fine-tune-results", at=at
        )
        self._update(at, result_files=[file])
        self._add_event(f"Uploaded result file: {file.id}", at)
        return "next"

    async def _finish(self, at: float) -> TransitionResult:
        self._add_event("Fine-tune succeeded", at)
        return "next"

    def _model_name(self, at: float) -> str:
        base = self._context.models.base_of(self._base)
        name = self._suffix and re.sub(r"[^a-z0-9]+", "-", self._suffix.lower()).strip("-")
        owner = self._context.organization_name + (f":{name}" if name else "")
        while True:
            when = datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%d-%H-%M-%S")
            model = f"{base}:ft-{owner}-{when}"
            if not self._context.models.exists(model):
                return model
            at += 1  # the name holds no more than the time, and another model has it already

    def _set_status(self, status: str, at: float) -> None:
        if self.fine_tune.status != status:
            self._update(at, status=status)

    def _fail(self, failure: Failure, at: float) -> None:
        self._add_event(f"Fine-tune failed. {failure.message}", at, level="error")
        self._update(at, status="failed")

    def _add_event(self, message: str, at: float, *, level: str = "info") -> None:
        event = FineTuneEvent(
            object="fine-tune-event", created_at=int(at), level=level, message=message
        )
        # Events of this API have no id: their number is their key.
        self.events.put(str(len(self.events)), event)

    def _update(self, at: float, **changes: object) -> None:
        fine_tune = self.fine_tune.model_copy(update={**changes, "updated_at": int(at)})
        self._fine_tunes.put(self._id, fine_tune)
