"""The legacy fine-tunes API, predecessor of fine-tuning jobs."""

from collections.abc import AsyncGenerator
from typing import Any

from tunesmith.operations.fine_tunes import (
    CancelFineTune,
    CreateFineTune,
    ListFineTuneEvents,
    ListFineTunes,
    RetrieveFineTune,
)
from tunesmith.service.core.errors import fine_tune_not_found, invalid
from tunesmith.service.core.handlers import handles
from tunesmith.service.fine_tuning.legacy.lifecycle import (
    DEFAULT_EPOCHS,
    LegacyFineTuneLifecycle,
)
from tunesmith.service.fine_tuning.lifecycle import JobContext, LifecycleState
from tunesmith.service.fine_tuning.stubbed_outcomes import FailurePoints, StubbedOutcomes
from tunesmith.service.fine_tuning.timeline import FINE_TUNE_TIMELINE
from tunesmith.types.base import Page
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent, FineTuneHyperparams

__all__ = ["LegacyFineTunes"]

_DEFAULT_MODEL = "curie"
_DEFAULT_PROMPT_LOSS_WEIGHT = 0.01
_POLL_INTERVAL_S = 30.0
_BACKGROUND_POLL_INTERVAL_S = 0.5


class LegacyFineTunes(StubbedOutcomes[LegacyFineTuneLifecycle]):
    """Fine-tunes of the legacy API.

    Args:
        context: Dependencies shared by all jobs.
    """

    def __init__(self, context: JobContext) -> None:
        failure_points = FailurePoints(files="price", model="upload_model")
        super().__init__(context, FINE_TUNE_TIMELINE, failure_points)
        self._fine_tunes = context.core.store.collection("fine_tunes", FineTune)
        for fine_tune in self._fine_tunes.get_page(newest_first=False).records:
            lifecycle = LegacyFineTuneLifecycle(context, fine_tune)
            lifecycle.reopen()
            self._lifecycles[fine_tune.id] = lifecycle

    @handles(CreateFineTune)
    async def create(self, operation: CreateFineTune) -> FineTune:
        """Create a fine-tune; its files are validated later."""
        context, core = self._context, self._context.core
        model = operation.model or _DEFAULT_MODEL
        context.validate_base_model(model, "legacy")
        context.validate_file(operation.training_file, "training_file")
        context.validate_file(operation.validation_file, "validation_file")
        _validate_classification_params(operation)
        files = context.files
        validation_file = operation.validation_file
        fine_tune = FineTune(
            object="fine-tune",
            id=core.ids.new("fine_tune"),
            hyperparams=_hyperparams(operation),
            organization_id=core.organization,
            model=model,
            training_files=[files.find(operation.training_file)],
            validation_files=[] if validation_file is None else [files.find(validation_file)],
            result_files=[],
            created_at=core.now(),
            updated_at=core.now(),
            status="pending",
            fine_tuned_model=None,
        )
        state = LifecycleState(
            core.behavior, operation.suffix, queue_number=context.timeline.queue_length
        )
        lifecycle = LegacyFineTuneLifecycle(context, fine_tune, state)
        await self._begin(lifecycle, fine_tune.id)
        return _with_events(lifecycle)

    @handles(RetrieveFineTune)
    async def retrieve(self, operation: RetrieveFineTune) -> FineTune:
        """Return a fine-tune."""
        return _with_events(self._find(operation.fine_tune_id))

    @handles(ListFineTunes)
    async def list(self, operation: ListFineTunes) -> Page[FineTune]:
        """List all fine-tunes, oldest first and without their events."""
        del operation
        return Page(object="list", data=self._fine_tunes.get_page(newest_first=False).records)

    @handles(CancelFineTune)
    async def cancel(self, operation: CancelFineTune) -> FineTune:
        """Cancel a fine-tune."""
        lifecycle = self._find(operation.fine_tune_id)
        if lifecycle.fine_tune.is_over:
            message = self._context.core.behavior.job_state_conflict_message.format(
                id=operation.fine_tune_id, status=lifecycle.fine_tune.status
            )
            raise invalid(message, "fine_tune_id")
        lifecycle.cancel()
        return _with_events(lifecycle)

    @handles(ListFineTuneEvents)
    async def list_events(self, operation: ListFineTuneEvents) -> Page[FineTuneEvent]:
        """List the events of a fine-tune, oldest first."""
        return Page(object="list", data=_events(self._find(operation.fine_tune_id)))

    @handles(ListFineTuneEvents)
    async def stream_events(self, operation: ListFineTuneEvents) -> AsyncGenerator[FineTuneEvent]:
        """Stream the events of a fine-tune until it ends."""
        lifecycle = self._find(operation.fine_tune_id)
        clock, scheduler = self._context.core.clock, self._context.core.scheduler
        n_sent = 0
        while True:
            is_over = lifecycle.fine_tune.is_over
            for event in _events(lifecycle, after=n_sent):
                n_sent += 1
                yield event
            if is_over:
                return
            if scheduler.is_background:
                await clock.sleep(_BACKGROUND_POLL_INTERVAL_S)
                continue
            # The next event may come from a cancellation, which is not scheduled.
            next_at = scheduler.next_due_at()
            until_next_s = _POLL_INTERVAL_S if next_at is None else next_at - clock.time()
            await clock.sleep(min(until_next_s, _POLL_INTERVAL_S))
            await scheduler.run_due()

    def _find(self, id: str) -> LegacyFineTuneLifecycle:
        lifecycle = self._lifecycles.get(id)
        if lifecycle is None:
            raise fine_tune_not_found(id)
        return lifecycle


def _events(lifecycle: LegacyFineTuneLifecycle, after: int = 0) -> list[FineTuneEvent]:
    cursor = str(after - 1) if after else None
    return lifecycle.events.get_page(after=cursor, newest_first=False).records


def _with_events(lifecycle: LegacyFineTuneLifecycle) -> FineTune:
    return lifecycle.fine_tune.model_copy(update={"events": _events(lifecycle)})


def _hyperparams(operation: CreateFineTune) -> FineTuneHyperparams:
    n_epochs = operation.n_epochs or (operation.hyperparameters or {}).get("n_epochs")
    weight = operation.prompt_loss_weight
    classification: dict[str, Any] = {
        "compute_classification_metrics": operation.compute_classification_metrics,
        "classification_n_classes": operation.classification_n_classes,
        "classification_positive_class": operation.classification_positive_class,
        "classification_betas": operation.classification_betas,
    }
    return FineTuneHyperparams(
        n_epochs=n_epochs if isinstance(n_epochs, int) else DEFAULT_EPOCHS,
        batch_size=operation.batch_size,
        learning_rate_multiplier=operation.learning_rate_multiplier,
        prompt_loss_weight=_DEFAULT_PROMPT_LOSS_WEIGHT if weight is None else weight,
        **{name: value for name, value in classification.items() if value is not None},
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
