"""The room of fine-tunes: the legacy API, which came before fine-tuning jobs."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

from tunesmith.operations.fine_tunes import (
    CancelFineTune,
    CreateFineTune,
    ListFineTuneEvents,
    ListFineTunes,
    RetrieveFineTune,
)
from tunesmith.service.core.errors import fine_tune_not_found, invalid
from tunesmith.service.core.models import LEGACY_MODELS
from tunesmith.service.engines.base import Engine, TrainingSpec
from tunesmith.service.files.files import FileService
from tunesmith.service.fine_tuning.legacy.classification import (
    ClassificationConfig,
    ClassificationEvaluator,
)
from tunesmith.service.fine_tuning.legacy.lifecycle import LegacyFineTuneLifecycle
from tunesmith.service.fine_tuning.lifecycle import ServiceContext
from tunesmith.service.fine_tuning.stubbed_outcomes import FailurePoints, StubbedOutcomes
from tunesmith.service.fine_tuning.timeline import FINE_TUNE_TIMELINE, Timeline
from tunesmith.service.fine_tuning.training_data import read_examples
from tunesmith.service.fine_tuning.training_run import EvaluationHook
from tunesmith.service.fine_tuning.validation import validate_base_model, validate_training_file
from tunesmith.types.base import Page
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent, FineTuneHyperparams

__all__ = ["LegacyFineTunes"]

_DEFAULT_MODEL = "curie"
_DEFAULT_EPOCHS = 4
_DEFAULT_PROMPT_LOSS_WEIGHT = 0.01
_POLL_INTERVAL_S = 30.0


class LegacyFineTunes(StubbedOutcomes[LegacyFineTuneLifecycle]):
    """Takes fine-tunes, and lets their owners follow and cancel them.

    Args:
        context: What fine-tunes work with.
        timeline: What happens in a fine-tune, and when.
        engine: Knows the tokens of classes.
    """

    def __init__(self, context: ServiceContext, timeline: Timeline, engine: Engine) -> None:
        super().__init__(
            timeline, FINE_TUNE_TIMELINE, FailurePoints(files="price", model="upload_model")
        )
        self._context = context
        self._engine = engine
        self._fine_tunes = context.store.collection("fine_tunes", FineTune)

    async def create(self, operation: CreateFineTune) -> FineTune:
        """Take a fine-tune; its files are checked later."""
        context = self._context
        model = operation.model or _DEFAULT_MODEL
        validate_base_model(context, model, LEGACY_MODELS)
        validate_training_file(context, operation.training_file, "training_file")
        if operation.validation_file is not None:
            validate_training_file(context, operation.validation_file, "validation_file")
        _validate_classification_params(operation)
        now = int(context.clock.time())
        hyperparams = _hyperparams(operation)
        fine_tune = FineTune(
            object="fine-tune",
            id=context.ids.new("fine_tune"),
            hyperparams=hyperparams,
            organization_id=context.organization,
            model=model,
            training_files=[context.files.find(operation.training_file)],
            validation_files=[context.files.find(operation.validation_file)]
            if operation.validation_file is not None
            else [],
            result_files=[],
            created_at=now,
            updated_at=now,
            status="pending",
            fine_tuned_model=None,
        )
        spec = _spec_reader(operation, hyperparams, context.files)
        examine = _classification_metrics_factory(operation, self._engine)
        life = LegacyFineTuneLifecycle(
            context, self._timeline, fine_tune, spec, operation.suffix, examine
        )
        self._register(life, fine_tune.id)
        await context.schedule.run_due()  # what happens at once is part of the answer
        return _with_events(life)

    async def retrieve(self, operation: RetrieveFineTune) -> FineTune:
        """Look up a fine-tune."""
        return _with_events(self._life(operation.fine_tune_id))

    async def list(self, operation: ListFineTunes) -> Page[FineTune]:
        """List all fine-tunes, oldest first and without their events."""
        del operation
        return Page(object="list", data=self._fine_tunes.get_page(newest_first=False).records)

    async def cancel(self, operation: CancelFineTune) -> FineTune:
        """End a fine-tune before it is done."""
        life = self._life(operation.fine_tune_id)
        if life.fine_tune.is_over:
            text = self._context.behavior.job_state_conflict_message
            status = life.fine_tune.status
            raise invalid(text.format(id=operation.fine_tune_id, status=status), "fine_tune_id")
        life.cancel()
        return _with_events(life)

    async def list_events(self, operation: ListFineTuneEvents) -> Page[FineTuneEvent]:
        """List what happened, oldest first."""
        return Page(object="list", data=_events(self._life(operation.fine_tune_id)))

    async def stream_events(self, operation: ListFineTuneEvents) -> AsyncGenerator[FineTuneEvent]:
        """Tell what happens as it happens, until the fine-tune is over."""
        life = self._life(operation.fine_tune_id)
        clock, schedule = self._context.clock, self._context.schedule
        told = 0
        while True:
            over = life.fine_tune.is_over
            new = life.events.get_page(
                after=str(told - 1) if told else None, newest_first=False
            ).records
            for event in new:
                told += 1
                yield event
            if over:
                return
            # Somebody may cancel it before anything else happens.
            now = clock.time()
            next_at = schedule.next_due_at()
            await clock.sleep(
                _POLL_INTERVAL_S if next_at is None else min(next_at - now, _POLL_INTERVAL_S)
            )
            await schedule.run_due()

    def _life(self, id: str) -> LegacyFineTuneLifecycle:
        life = self._lives.get(id)
        if life is None:
            raise fine_tune_not_found(id)
        return life


def _events(life: LegacyFineTuneLifecycle) -> list[FineTuneEvent]:
    return life.events.get_page(newest_first=False).records


def _with_events(life: LegacyFineTuneLifecycle) -> FineTune:
    return life.fine_tune.model_copy(update={"events": _events(life)})


def _hyperparams(operation: CreateFineTune) -> FineTuneHyperparams:
    n_epochs = operation.n_epochs or (operation.hyperparameters or {}).get("n_epochs")
    weight = operation.prompt_loss_weight
    asked: dict[str, Any] = {
        "compute_classification_metrics": operation.compute_classification_metrics,
        "classification_n_classes": operation.classification_n_classes,
        "classification_positive_class": operation.classification_positive_class,
        "classification_betas": operation.classification_betas,
    }
    return FineTuneHyperparams(
        n_epochs=n_epochs if isinstance(n_epochs, int) else _DEFAULT_EPOCHS,
        batch_size=operation.batch_size,
        learning_rate_multiplier=operation.learning_rate_multiplier,
        prompt_loss_weight=_DEFAULT_PROMPT_LOSS_WEIGHT if weight is None else weight,
        **{name: value for name, value in asked.items() if value is not None},
    )


def _validate_classification_params(operation: CreateFineTune) -> None:
    if not operation.compute_classification_metrics:
        return
    if operation.validation_file is None:
        raise invalid("Classification metrics need a validation file.", "validation_file")
    if not (operation.classification_n_classes or operation.classification_positive_class):
        raise invalid(
            "Classification metrics need classification_n_classes or "
            "classification_positive_class.",
            "classification_n_classes",
        )


def _classification_metrics_factory(
    operation: CreateFineTune, engine: Engine
) -> Callable[[TrainingSpec], EvaluationHook] | None:
    if not operation.compute_classification_metrics:
        return None
    asked = ClassificationConfig(
        n_classes=operation.classification_n_classes,
        positive_class=operation.classification_positive_class,
        betas=tuple(operation.classification_betas or ()),
    )
    return lambda spec: ClassificationEvaluator(engine, asked, spec).measure


def _spec_reader(
    operation: CreateFineTune, hyperparams: FineTuneHyperparams, files: FileService
) -> Callable[[], TrainingSpec]:
    def read() -> TrainingSpec:
        content = b"".join(files.read(operation.training_file))
        held_out = operation.validation_file and b"".join(files.read(operation.validation_file))
        return TrainingSpec(
            examples=read_examples(content, "completion"),
            validation=read_examples(held_out, "completion", param="validation_file")
            if held_out
            else (),
            n_epochs=int(hyperparams.n_epochs or _DEFAULT_EPOCHS),
            batch_size=operation.batch_size,
            learning_rate_multiplier=operation.learning_rate_multiplier,
            prompt_loss_weight=hyperparams.prompt_loss_weight or 0.0,
        )

    return read
