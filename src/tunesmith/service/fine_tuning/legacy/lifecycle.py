"""Lifecycle of fine-tunes of the legacy API."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tunesmith.service.core.store import Collection
from tunesmith.service.engines.training import TrainingRun, TrainingSpec
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
from tunesmith.service.fine_tuning.training_data import TrainingFile
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent

__all__ = ["DEFAULT_EPOCHS", "LegacyFineTuneLifecycle"]

DEFAULT_EPOCHS = 4


class LegacyFineTuneLifecycle(JobLifecycle):
    """Lifecycle of one fine-tune.

    Args:
        context: Dependencies shared by all jobs.
        fine_tune: The fine-tune.
        state: State of a new fine-tune; None for the stored one.
    """

    def __init__(
        self, context: JobContext, fine_tune: FineTune, state: LifecycleState | None = None
    ) -> None:
        super().__init__(context, fine_tune.id, state)
        self._fine_tunes = context.core.store.collection("fine_tunes", FineTune)
        self._base = fine_tune.model or ""
        self._evaluator: ClassificationEvaluator | None = None
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
        self._end_training()
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

    async def _prepare_training(self, folder: Path) -> TrainingRun:
        spec = await self._core.clock.run_in_thread(self._load_spec)
        return await (await self._context.models.open(self._base)).train(spec, folder)

    async def _price(self, timestamp: float) -> TransitionResult:
        await self._get_training()
        self._save(is_validated=True)
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
        self._require_validation()
        if await self._start_training() == "wait":
            return "wait"
        timestamp = self._now(timestamp)
        chosen = (await self._get_training()).hyperparameters
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
        self._require_validation()
        training = await self._get_training()
        if len(self._steps) >= training.total_steps:
            return "next"
        step = await self._next_step()
        if step is None:
            return "next"
        if self._evaluator is not None and step.is_checkpoint:
            await self._evaluate(self._evaluator, step.step)
        timestamp = self._now(timestamp)
        self._record_step(step, timestamp)
        if step.is_checkpoint:
            n_epochs = training.hyperparameters.n_epochs
            self._add_event(f"Completed epoch {step.epoch}/{n_epochs}", timestamp)
        return "next" if step.step >= training.total_steps else "repeat"

    async def _evaluate(self, evaluator: ClassificationEvaluator, step: int) -> None:
        """Compute classification metrics after a step."""
        folder = await self._save_weights(step)
        model = await self._unless_stopped(self._context.models.open_weights(self._base, folder))
        metrics = await self._unless_stopped(evaluator.evaluate(model))
        self._save(evaluations={**self._state.evaluations, step: metrics})

    async def _upload_model(self, timestamp: float) -> TransitionResult:
        models = self._context.models
        folder = await self._save_weights(max(self._state.checkpoint_at))
        timestamp = self._now(timestamp)
        name = self._model_name(timestamp)
        models.register(name, folder, base=self._base, timestamp=timestamp)
        self._end_training()
        self._update(timestamp, fine_tuned_model=name)
        self._add_event(f"Uploaded model: {name}", timestamp)
        return "next"

    async def _upload_results(self, timestamp: float) -> TransitionResult:
        steps = self._steps.get_page(newest_first=False).records
        content = compiled_results(steps, self._state.evaluations)
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

        def read(file_id: str, param: str) -> TrainingFile:
            files = self._context.files
            return TrainingFile(lambda: files.read(file_id), "completions", param)

        fine_tune = self.fine_tune
        validation = fine_tune.validation_files
        spec = TrainingSpec(
            format="completions",
            examples=read(fine_tune.training_files[0].id, "training_file"),
            validation=read(validation[0].id, "validation_file") if validation else (),
            n_epochs=int(hyperparams.n_epochs or DEFAULT_EPOCHS),
            batch_size=hyperparams.batch_size,
            learning_rate_multiplier=hyperparams.learning_rate_multiplier,
            prompt_loss_weight=hyperparams.prompt_loss_weight or 0.0,
        )
        if hyperparams.compute_classification_metrics:
            config = ClassificationConfig(
                n_classes=hyperparams.classification_n_classes,
                positive_class=hyperparams.classification_positive_class,
                betas=tuple(hyperparams.classification_betas or ()),
            )
            self._evaluator = ClassificationEvaluator(config, spec)
        return spec

    def _model_name(self, timestamp: float) -> str:
        base = self._context.models.info_of(self._base).name
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
