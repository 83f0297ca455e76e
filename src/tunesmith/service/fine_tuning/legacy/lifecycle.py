"""Lifecycle of fine-tunes of the legacy API."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from tunesmith.operations.fine_tunes import CreateFineTune
from tunesmith.service.core.store import Collection
from tunesmith.service.engines.base import Engine, TrainingExample, TrainingSpec
from tunesmith.service.fine_tuning.legacy.classification import (
    ClassificationConfig,
    ClassificationEvaluator,
)
from tunesmith.service.fine_tuning.lifecycle import (
    JobContext,
    JobLifecycle,
    TransitionAction,
    TransitionResult,
)
from tunesmith.service.fine_tuning.result_files import compiled_results
from tunesmith.service.fine_tuning.timeline import Failure
from tunesmith.service.fine_tuning.training_data import read_examples
from tunesmith.service.fine_tuning.training_run import EvaluationHook, start_training
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent

__all__ = ["DEFAULT_EPOCHS", "LegacyFineTuneLifecycle"]

DEFAULT_EPOCHS = 4


class LegacyFineTuneLifecycle(JobLifecycle):
    """Lifecycle of one fine-tune.

    Args:
        context: Dependencies shared by all jobs.
        fine_tune: The new fine-tune.
        operation: The operation that created it.
        engine: Tokenizer for classification metrics.
    """

    def __init__(
        self, context: JobContext, fine_tune: FineTune, operation: CreateFineTune, engine: Engine
    ) -> None:
        super().__init__(context, fine_tune.id)
        self._fine_tunes = context.core.store.collection("fine_tunes", FineTune)
        self._base = fine_tune.model or ""
        self._operation = operation
        self._engine = engine
        self._queue_number = context.timeline.queue_length
        self.events: Collection[FineTuneEvent] = context.core.store.collection(
            "fine_tune_events", FineTuneEvent, parent_id=fine_tune.id
        )
        self._fine_tunes.put(fine_tune.id, fine_tune)

    @property
    def fine_tune(self) -> FineTune:
        """The fine-tune as it is now, without its events."""
        fine_tune = self._fine_tunes.get(self._id)
        assert fine_tune is not None  # noqa: S101 - fine-tunes are never deleted
        return fine_tune

    def cancel(self) -> None:
        """Cancel the fine-tune."""
        self._stop()
        now = self._core.clock.time()
        self._add_event("Fine-tune cancelled", now)
        self._update(now, status="cancelled")

    def _actions(self) -> Mapping[str, TransitionAction]:
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

    async def _announce(self, timestamp: float) -> TransitionResult:
        self._add_event(f"Created fine-tune: {self._id}", timestamp)
        return "next"

    async def _price(self, timestamp: float) -> TransitionResult:
        model = self._context.models.resolve(self._base)
        self._training = await self._unless_stopped(
            start_training(self._core.clock, model, self._load_spec, self._create_evaluation)
        )
        self._add_event("Fine-tune costs $0.00", timestamp)
        return "next"

    async def _enqueue(self, timestamp: float) -> TransitionResult:
        self._add_event(f"Fine-tune enqueued. Queue number: {self._queue_number}", timestamp)
        return "next"

    async def _wait(self, timestamp: float) -> TransitionResult:
        if self._queue_number == 0:
            return "next"
        self._queue_number -= 1
        self._add_event(f"Fine-tune is in the queue. Queue number: {self._queue_number}", timestamp)
        return "repeat" if self._queue_number else "next"

    async def _start(self, timestamp: float) -> TransitionResult:
        chosen = self._run.hyperparameters
        hyperparams = self.fine_tune.hyperparams
        assert hyperparams is not None  # noqa: S101 - set when it was created
        values = {
            "batch_size": chosen.batch_size,
            "learning_rate_multiplier": chosen.learning_rate_multiplier,
            "n_epochs": chosen.n_epochs,
        }
        self._update(timestamp, hyperparams=hyperparams.model_copy(update=values))
        self._add_event("Fine-tune started", timestamp)
        return "next"

    async def _step(self, timestamp: float) -> TransitionResult:
        run = self._run
        await self._unless_stopped(run.wait())
        step = run.take()
        if run.ends_epoch(step):
            self._add_event(
                f"Completed epoch {step.epoch}/{run.hyperparameters.n_epochs}", timestamp
            )
        return "next" if step.step >= run.total_steps else "repeat"

    async def _upload_model(self, timestamp: float) -> TransitionResult:
        name = self._model_name(timestamp)
        weights = self._run.weights[self._run.total_steps]
        self._context.models.register(name, weights, base=self._base, timestamp=timestamp)
        self._update(timestamp, fine_tuned_model=name)
        self._add_event(f"Uploaded model: {name}", timestamp)
        return "next"

    async def _upload_results(self, timestamp: float) -> TransitionResult:
        content = compiled_results(self._run.steps, self._run.evaluations)
        file = self._context.files.add(
            [content], "compiled_results.csv", "fine-tune-results", timestamp=timestamp
        )
        self._update(timestamp, result_files=[file])
        self._add_event(f"Uploaded result file: {file.id}", timestamp)
        return "next"

    async def _finish(self, timestamp: float) -> TransitionResult:
        self._add_event("Fine-tune succeeded", timestamp)
        return "next"

    def _load_spec(self) -> TrainingSpec:
        hyperparams = self.fine_tune.hyperparams
        assert hyperparams is not None  # noqa: S101 - set when it was created

        def read(file_id: str, param: str) -> list[TrainingExample]:
            content = b"".join(self._context.files.read(file_id))
            return read_examples(content, "completions", param=param)

        validation_file = self._operation.validation_file
        return TrainingSpec(
            examples=read(self._operation.training_file, "training_file"),
            validation=read(validation_file, "validation_file") if validation_file else (),
            n_epochs=int(hyperparams.n_epochs or DEFAULT_EPOCHS),
            batch_size=self._operation.batch_size,
            learning_rate_multiplier=self._operation.learning_rate_multiplier,
            prompt_loss_weight=hyperparams.prompt_loss_weight or 0.0,
        )

    def _create_evaluation(self, spec: TrainingSpec) -> EvaluationHook | None:
        if not self._operation.compute_classification_metrics:
            return None
        config = ClassificationConfig(
            n_classes=self._operation.classification_n_classes,
            positive_class=self._operation.classification_positive_class,
            betas=tuple(self._operation.classification_betas or ()),
        )
        return ClassificationEvaluator(self._engine, config, spec).evaluate

    def _model_name(self, timestamp: float) -> str:
        base = self._context.models.base_of(self._base)
        suffix = self._operation.suffix
        suffix = suffix and re.sub(r"[^a-z0-9]+", "-", suffix.lower()).strip("-")
        owner = self._core.organization_name + (f":{suffix}" if suffix else "")
        while True:
            text = datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d-%H-%M-%S")
            name = f"{base}:ft-{owner}-{text}"
            if not self._context.models.exists(name):
                return name
            timestamp += 1  # the timestamp is all that makes the name unique

    def _set_status(self, status: str, timestamp: float) -> None:
        if self.fine_tune.status != status:
            self._update(timestamp, status=status)

    def _fail(self, failure: Failure, timestamp: float) -> None:
        self._add_event(f"Fine-tune failed. {failure.message}", timestamp, level="error")
        self._update(timestamp, status="failed")

    def _add_event(self, message: str, timestamp: float, *, level: str = "info") -> None:
        event = FineTuneEvent(
            object="fine-tune-event", created_at=int(timestamp), level=level, message=message
        )
        # Events of this API have no id: their number is their key.
        self.events.put(str(len(self.events)), event)

    def _update(self, timestamp: float, **changes: object) -> None:
        fine_tune = self.fine_tune.model_copy(update={**changes, "updated_at": int(timestamp)})
        self._fine_tunes.put(self._id, fine_tune)
