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
from tunesmith.service.files.files import Files
from tunesmith.service.fine_tuning.legacy.classification import Classification, Classifier
from tunesmith.service.fine_tuning.legacy.lifecycle import FineTuneLife
from tunesmith.service.fine_tuning.lifecycle import Workshop
from tunesmith.service.fine_tuning.stubbed_outcomes import JobScripts, ScriptedRows
from tunesmith.service.fine_tuning.timeline import FINE_TUNE_TIMELINE, Timeline
from tunesmith.service.fine_tuning.training_data import read_examples
from tunesmith.service.fine_tuning.training_run import Measure
from tunesmith.service.fine_tuning.validation import require_training_file, require_tunable
from tunesmith.types.base import Page
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent, FineTuneHyperparams

__all__ = ["FineTunes"]

_DEFAULT_MODEL = "curie"
_DEFAULT_EPOCHS = 4
_DEFAULT_PROMPT_LOSS_WEIGHT = 0.01
_LOOK_AGAIN_S = 30.0


class FineTunes(JobScripts[FineTuneLife]):
    """Takes fine-tunes, and lets their owners follow and cancel them.

    Args:
        workshop: What fine-tunes work with.
        timeline: What happens in a fine-tune, and when.
        engine: Knows the tokens of classes.
    """

    def __init__(self, workshop: Workshop, timeline: Timeline, engine: Engine) -> None:
        super().__init__(
            timeline, FINE_TUNE_TIMELINE, ScriptedRows(files="price", model="upload_model")
        )
        self._shop = workshop
        self._engine = engine
        self._fine_tunes = workshop.store.collection("fine_tunes", FineTune)

    async def create(self, operation: CreateFineTune) -> FineTune:
        """Take a fine-tune; its files are checked later."""
        shop = self._shop
        model = operation.model or _DEFAULT_MODEL
        require_tunable(shop, model, LEGACY_MODELS)
        require_training_file(shop, operation.training_file, "training_file")
        if operation.validation_file is not None:
            require_training_file(shop, operation.validation_file, "validation_file")
        _require_classes(operation)
        now = int(shop.clock.time())
        hyperparams = _hyperparams(operation)
        fine_tune = FineTune(
            object="fine-tune",
            id=shop.ids.new("fine_tune"),
            hyperparams=hyperparams,
            organization_id=shop.organization,
            model=model,
            training_files=[shop.files.find(operation.training_file)],
            validation_files=[shop.files.find(operation.validation_file)]
            if operation.validation_file is not None
            else [],
            result_files=[],
            created_at=now,
            updated_at=now,
            status="pending",
            fine_tuned_model=None,
        )
        spec = _spec_reader(operation, hyperparams, shop.files)
        examine = _examiner(operation, self._engine)
        life = FineTuneLife(shop, self._timeline, fine_tune, spec, operation.suffix, examine)
        self._direct(life, fine_tune.id)
        await shop.schedule.settle()  # what happens at once is part of the answer
        return _with_events(life)

    async def retrieve(self, operation: RetrieveFineTune) -> FineTune:
        """Look up a fine-tune."""
        return _with_events(self._life(operation.fine_tune_id))

    async def list(self, operation: ListFineTunes) -> Page[FineTune]:
        """List all fine-tunes, oldest first and without their events."""
        del operation
        return Page(object="list", data=self._fine_tunes.window(newest_first=False).records)

    async def cancel(self, operation: CancelFineTune) -> FineTune:
        """End a fine-tune before it is done."""
        life = self._life(operation.fine_tune_id)
        if life.fine_tune.is_over:
            text = self._shop.assumptions.over_already
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
        clock, schedule = self._shop.clock, self._shop.schedule
        told = 0
        while True:
            over = life.fine_tune.is_over
            new = life.events.window(
                after=str(told - 1) if told else None, newest_first=False
            ).records
            for event in new:
                told += 1
                yield event
            if over:
                return
            # Somebody may cancel it before anything else happens.
            now = clock.time()
            next_at = schedule.next_at()
            await clock.sleep(
                _LOOK_AGAIN_S if next_at is None else min(next_at - now, _LOOK_AGAIN_S)
            )
            await schedule.settle()

    def _life(self, id: str) -> FineTuneLife:
        life = self._lives.get(id)
        if life is None:
            raise fine_tune_not_found(id)
        return life


def _events(life: FineTuneLife) -> list[FineTuneEvent]:
    return life.events.window(newest_first=False).records


def _with_events(life: FineTuneLife) -> FineTune:
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


def _require_classes(operation: CreateFineTune) -> None:
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


def _examiner(
    operation: CreateFineTune, engine: Engine
) -> Callable[[TrainingSpec], Measure] | None:
    if not operation.compute_classification_metrics:
        return None
    asked = Classification(
        n_classes=operation.classification_n_classes,
        positive_class=operation.classification_positive_class,
        betas=tuple(operation.classification_betas or ()),
    )
    return lambda spec: Classifier(engine, asked, spec).measure


def _spec_reader(
    operation: CreateFineTune, hyperparams: FineTuneHyperparams, files: Files
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
