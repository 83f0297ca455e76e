"""The life of one fine-tune of the legacy API."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from tunesmith.service.core.store import Collection
from tunesmith.service.engines.base import TrainingSpec
from tunesmith.service.fine_tuning.lifecycle import Deed, Life, Workshop
from tunesmith.service.fine_tuning.result_files import compiled_results
from tunesmith.service.fine_tuning.timeline import Failure, Next, Timeline
from tunesmith.service.fine_tuning.training_run import Measure, begin_training
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent

__all__ = ["FineTuneLife"]


class FineTuneLife(Life):
    """Takes one fine-tune from its creation to its end.

    Args:
        workshop: What to work with.
        timeline: What happens, and when.
        fine_tune: The fine-tune, as it was created.
        spec: Reads and checks its files; it runs in a worker thread.
        suffix: The text that the owner wants in the model's name.
        examine: Makes what measures the weights after each epoch.
    """

    def __init__(
        self,
        workshop: Workshop,
        timeline: Timeline,
        fine_tune: FineTune,
        spec: Callable[[], TrainingSpec],
        suffix: str | None,
        examine: Callable[[TrainingSpec], Measure] | None = None,
    ) -> None:
        super().__init__(workshop, timeline, fine_tune.id)
        self._fine_tunes = workshop.store.collection("fine_tunes", FineTune)
        self._base = fine_tune.model or ""
        self._spec = spec
        self._suffix = suffix
        self._examine = examine
        self._ahead_in_queue = timeline.queue_length
        self.events: Collection[FineTuneEvent] = workshop.store.collection(
            "fine_tune_events", FineTuneEvent, of=fine_tune.id
        )
        self._fine_tunes.put(fine_tune.id, fine_tune)
        self._walk.begin(workshop.clock.time())

    @property
    def fine_tune(self) -> FineTune:
        """The fine-tune as it is now, without its events."""
        fine_tune = self._fine_tunes.get(self._id)
        assert fine_tune is not None  # noqa: S101 - fine-tunes are never deleted
        return fine_tune

    def cancel(self) -> None:
        """End the fine-tune."""
        self._halt()
        now = self._shop.clock.time()
        self._say("Fine-tune cancelled", now)
        self._change(now, status="cancelled")

    def _deeds(self) -> Mapping[str, Deed]:
        return {
            "announce": self._announce,
            "price": self._price,
            "enqueue": self._enqueue,
            "wait": self._wait,
            "start": self._start,
            "step": self._step,
            "upload_model": self._upload_model,
            "upload_results": self._upload_results,
            "finish": self._finish,
        }

    async def _announce(self, at: float) -> Next:
        self._say(f"Created fine-tune: {self._id}", at)
        return "on"

    async def _price(self, at: float) -> Next:
        weights = self._shop.models.resolve(self._base)
        self._training = await begin_training(self._shop.clock, weights, self._spec, self._examine)
        self._say("Fine-tune costs $0.00", at)
        return "on"

    async def _enqueue(self, at: float) -> Next:
        self._say(f"Fine-tune enqueued. Queue number: {self._ahead_in_queue}", at)
        return "on"

    async def _wait(self, at: float) -> Next:
        if self._ahead_in_queue == 0:
            return "on"
        self._ahead_in_queue -= 1
        self._say(f"Fine-tune is in the queue. Queue number: {self._ahead_in_queue}", at)
        return "again" if self._ahead_in_queue else "on"

    async def _start(self, at: float) -> Next:
        chosen = self._run.hyperparameters
        hyperparams = self.fine_tune.hyperparams
        assert hyperparams is not None  # noqa: S101 - set when it was created
        self._change(
            at,
            hyperparams=hyperparams.model_copy(
                update={
                    "batch_size": chosen.batch_size,
                    "learning_rate_multiplier": chosen.learning_rate_multiplier,
                    "n_epochs": chosen.n_epochs,
                }
            ),
        )
        self._say("Fine-tune started", at)
        return "on"

    async def _step(self, at: float) -> Next:
        run = self._run
        step = await run.advance()
        if run.ends_epoch(step):
            self._say(f"Completed epoch {step.epoch}/{run.hyperparameters.n_epochs}", at)
        return "on" if step.step >= run.total_steps else "again"

    async def _upload_model(self, at: float) -> Next:
        name = self._model_name(at)
        weights = self._run.weights[self._run.total_steps]
        self._shop.models.register(name, weights, base=self._base, at=at)
        self._change(at, fine_tuned_model=name)
        self._say(f"Uploaded model: {name}", at)
        return "on"

    async def _upload_results(self, at: float) -> Next:
        content = compiled_results(self._run.steps, self._run.measured)
        file = self._shop.files.add([content], "compiled_results.csv", "fine-tune-results", at=at)
        self._change(at, result_files=[file])
        self._say(f"Uploaded result file: {file.id}", at)
        return "on"

    async def _finish(self, at: float) -> Next:
        self._say("Fine-tune succeeded", at)
        return "on"

    def _model_name(self, at: float) -> str:
        base = self._shop.models.base_of(self._base)
        name = self._suffix and re.sub(r"[^a-z0-9]+", "-", self._suffix.lower()).strip("-")
        owner = self._shop.organization_name + (f":{name}" if name else "")
        while True:
            when = datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%d-%H-%M-%S")
            model = f"{base}:ft-{owner}-{when}"
            if not self._shop.models.exists(model):
                return model
            at += 1  # the name holds no more than the time, and another model has it already

    def _enter(self, status: str, at: float) -> None:
        if self.fine_tune.status != status:
            self._change(at, status=status)

    def _end_in_failure(self, failure: Failure, at: float) -> None:
        self._say(f"Fine-tune failed. {failure.message}", at, level="error")
        self._change(at, status="failed")

    def _say(self, message: str, at: float, *, level: str = "info") -> None:
        event = FineTuneEvent(
            object="fine-tune-event", created_at=int(at), level=level, message=message
        )
        # Events of this API have no id: their number is their key.
        self.events.put(str(len(self.events)), event)

    def _change(self, at: float, **changes: object) -> None:
        fine_tune = self.fine_tune.model_copy(update={**changes, "updated_at": int(at)})
        self._fine_tunes.put(self._id, fine_tune)
