"""Lifecycle of fine-tunes of the legacy API."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from tunesmith.service.core.store import Collection
from tunesmith.service.engines.base import Engine, TrainingExample, TrainingSpec
from tunesmith.service.fine_tuning.legacy.classification import (
    ClassificationConfig,
    ClassificationEvaluator,
)
from tunesmith.service.fine_tuning.lifecycle import (
    JobContext,
    JobLifecycle,
    LifecycleState,
    TransitionAction,
    TransitionResult,
)
from tunesmith.service.fine_tuning.result_files import compiled_results
from tunesmith.service.fine_tuning.timeline import Failure
from tunesmith.service.fine_tuning.training_data import read_examples
from tunesmith.service.fine_tuning.training_run import EvaluationHook, TrainingRun, start_training
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent

__all__ = ["DEFAULT_EPOCHS", "LegacyFineTuneLifecycle"]

DEFAULT_EPOCHS = 4


class LegacyFineTuneLifecycle(JobLifecycle):
    """Lifecycle of one fine-tune.

    Args:
        context: Dependencies shared by all jobs.
        fine_tune: The fine-tune.
        engine: Tokenizer for classification metrics.
        state: State of a new fine-tune; None for the stored one.
    """

    def __init__(
        self,
        context: JobContext,
        fine_tune: FineTune,
        engine: Engine,
        state: LifecycleState | None = None,
    ) -> None:
        super().__init__(context, fine_tune.id, state)
        self._fine_tunes = context.core.store.collection("fine_tunes", FineTune)
        self._base = fine_tune.model or ""
        self._engine = engine
        self.events: Collection[FineTuneEvent] = context.core.store.collection(
            "fine_tune_events", FineTuneEvent, parent_id=fine_tune.id
        )
        if state is not None:
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

    async def _start_training(self) -> TrainingRun:
        model = self._context.models.resolve(self._base)
        return await start_training(
            self._core.clock, model, self._load_spec, self._create_evaluation
        )

    async def _price(self, timestamp: float) -> TransitionResult:
        await self._validate_files()
        self._add_event("Fine-tune costs $0.00", timestamp)
        return "next"

    async def _enqueue(self, timestamp: float) -> TransitionResult:
        self._add_event(f"Fine-tune enqueued. Queue number: {self._state.queue_number}", timestamp)
        return "next"

    async def _wait(self, timestamp: float) -> TransitionResult:
        if self._state.queue_number == 0:
            return "next"
        number = self._state.queue_number - 1
        self._save(queue_number=number)
        self._add_event(f"Fine-tune is in the queue. Queue number: {number}", timestamp)
        return "repeat" if number else "next"

    async def _start(self, timestamp: float) -> TransitionResult:
        chosen = (await self._get_run()).hyperparameters
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
        run = await self._get_run()
        if len(run.steps) >= run.total_steps:
            return "next"
        step = await self._take_step(timestamp)
        if run.ends_epoch(step):
            self._add_event(
                f"Completed epoch {step.epoch}/{run.hyperparameters.n_epochs}", timestamp
            )
        return "next" if step.step >= run.total_steps else "repeat"

    async def _upload_model(self, timestamp: float) -> TransitionResult:
        run, models = await self._get_run(), self._context.models
        step, weights = run.total_steps, run.weights[run.total_steps]
        blobs = await self._unless_stopped(models.serialize({step: weights}))
        name = self._model_name(timestamp)
        models.register(name, weights, blobs[step], base=self._base, timestamp=timestamp)
        self._update(timestamp, fine_tuned_model=name)
        self._add_event(f"Uploaded model: {name}", timestamp)
        return "next"

    async def _upload_results(self, timestamp: float) -> TransitionResult:
        run = await self._get_run()
        content = compiled_results(run.steps, run.evaluations)
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

        fine_tune = self.fine_tune
        validation = fine_tune.validation_files
        return TrainingSpec(
            examples=read(fine_tune.training_files[0].id, "training_file"),
            validation=read(validation[0].id, "validation_file") if validation else (),
            n_epochs=int(hyperparams.n_epochs or DEFAULT_EPOCHS),
            batch_size=hyperparams.batch_size,
            learning_rate_multiplier=hyperparams.learning_rate_multiplier,
            prompt_loss_weight=hyperparams.prompt_loss_weight or 0.0,
        )

    def _create_evaluation(self, spec: TrainingSpec) -> EvaluationHook | None:
        hyperparams = self.fine_tune.hyperparams
        if hyperparams is None or not hyperparams.compute_classification_metrics:
            return None
        config = ClassificationConfig(
            n_classes=hyperparams.classification_n_classes,
            positive_class=hyperparams.classification_positive_class,
            betas=tuple(hyperparams.classification_betas or ()),
        )
        return ClassificationEvaluator(self._engine, config, spec).evaluate

    def _model_name(self, timestamp: float) -> str:
        base = self._context.models.base_of(self._base)
        suffix = self._state.suffix
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
