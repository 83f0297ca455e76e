"""Lifecycle of fine-tuning jobs."""

import base64
from collections.abc import Mapping
from pathlib import Path

from tunesmith.service.engines.base import EngineError
from tunesmith.service.engines.training import Hyperparameters, TrainingRun
from tunesmith.service.fine_tuning.events import JobEvents, checkpoint_metrics
from tunesmith.service.fine_tuning.lifecycle import (
    JobContext,
    JobLifecycle,
    LifecycleState,
    TransitionAction,
    TransitionResult,
)
from tunesmith.service.fine_tuning.method import load_training_spec
from tunesmith.service.fine_tuning.result_files import step_metrics
from tunesmith.service.fine_tuning.timeline import Failure
from tunesmith.types.fine_tuning import (
    FineTuningHyperparameters,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobError,
)

__all__ = ["FineTuningJobLifecycle"]


class FineTuningJobLifecycle(JobLifecycle):
    """Lifecycle of one fine-tuning job.

    Args:
        context: Dependencies shared by all jobs.
        job: The job.
        state: State of a new job; None for the stored one.
    """

    def __init__(
        self, context: JobContext, job: FineTuningJob, state: LifecycleState | None = None
    ) -> None:
        super().__init__(context, job.id, state)
        self._jobs = context.core.store.collection("jobs", FineTuningJob)
        self._checkpoints = context.core.store.collection(
            "checkpoints", FineTuningJobCheckpoint, parent_id=job.id
        )
        self._base = job.model or ""
        self._behavior = self._state.behavior
        self.events = JobEvents(context.core.store, context.core.ids, job.id, self._behavior)
        if state is not None:
            self._jobs.put(job.id, job)

    @property
    def job(self) -> FineTuningJob:
        """The job as it is now."""
        job = self._jobs.get(self._id)
        assert job is not None  # noqa: S101 - jobs are never deleted
        return job

    def cancel(self) -> FineTuningJob:
        """Cancel the job."""
        job = self._stop_with("cancelled", self._behavior.cancelled_event)
        self._end_training()
        return job

    def pause(self) -> FineTuningJob:
        """Pause the job."""
        job = self._stop_with("paused", self._behavior.paused_event)
        self._context.slots.release(self._id)
        return job

    def resume(self) -> FineTuningJob:
        """Queue the paused job again; its training continues after its last step."""
        self.events.add_message(self._behavior.resumed_event, self._core.clock.time())
        self._restart()
        return self._update(status="queued")

    def _stop_with(self, status: str, event: str | None) -> FineTuningJob:
        self._stop()
        self.events.add_message(event, self._core.clock.time())
        return self._update(status=status, estimated_finish=None)

    def _actions(self) -> Mapping[str, TransitionAction]:
        return {
            "announce": self._announce,
            "validate": self._validate,
            "enqueue": self._enqueue,
            "start": self._start,
            "step": self._step,
            "finish": self._finish,
            "report": self._report,
        }

    async def _announce(self, timestamp: float) -> TransitionResult:
        job = self.job
        files = job.training_file or ""
        if job.validation_file:
            files += f" and validation file: {job.validation_file}"
        self.events.add_message(self._behavior.created_event, timestamp, job=job.id)
        self.events.add_message(self._behavior.validating_event, timestamp, files=files)
        return "next"

    async def _prepare_training(self, folder: Path) -> TrainingRun:
        models, job, files = self._context.models, self.job, self._context.files
        info = models.info_of(self._base)
        spec = await self._core.clock.run_in_thread(lambda: load_training_spec(job, files, info))
        return await (await models.open(self._base)).train(spec, folder)

    async def _validate(self, _: float) -> TransitionResult:
        training = await self._get_training()
        self._resolve_auto_hyperparameters(training.hyperparameters)
        self._save(is_validated=True)
        return "next"

    async def _enqueue(self, timestamp: float) -> TransitionResult:
        self.events.add_message(self._behavior.validated_event, timestamp)
        return "next"

    async def _start(self, timestamp: float) -> TransitionResult:
        self._require_validation()
        if await self._start_training() == "wait":
            return "wait"
        timestamp = self._now(timestamp)
        self.events.add_message(self._behavior.started_event, timestamp, has_data=False)
        steps_left = (await self._get_training()).total_steps - len(self._steps)
        finish = timestamp + self._timeline.remaining_s("start", steps_left)
        self._update(estimated_finish=int(finish))
        return "next"

    async def _step(self, timestamp: float) -> TransitionResult:
        self._require_validation()
        total_steps = (await self._get_training()).total_steps
        if len(self._steps) >= total_steps:
            return "next"  # it was paused after its last step
        step = await self._next_step()
        if step is None:
            return "next"
        timestamp = self._now(timestamp)
        self._record_step(step, timestamp)
        is_last = step.step >= total_steps
        if is_last or step.step % self._behavior.event_every_steps == 0:
            self.events.add_metrics(step, total_steps, timestamp)
        return "next" if is_last else "repeat"

    async def _finish(self, timestamp: float) -> TransitionResult:
        core, models = self._core, self._context.models
        checkpoints = self._state.checkpoint_at
        folders = {number: await self._save_weights(number) for number in checkpoints}
        steps = self._steps.get_page(newest_first=False).records
        if not folders:
            raise EngineError("The training made no checkpoint.")
        timestamp = self._now(timestamp)
        content = step_metrics(steps)
        if self._behavior.results_base64:
            content = base64.b64encode(content)
        results = self._context.files.add(
            [content], "step_metrics.csv", "fine-tune-results", timestamp=timestamp
        )
        suffix = getattr(self.job, "user_provided_suffix", None) or ""
        base = models.info_of(self._base).name
        name = f"ft:{base}:{core.organization_name}:{suffix}:{core.ids.new('model')}"
        for number, folder in folders.items():
            model = name if number == max(folders) else f"{name}:ckpt-step-{number}"
            models.register(model, folder, base=self._base, timestamp=timestamp)
            checkpoint = FineTuningJobCheckpoint(
                object="fine_tuning.job.checkpoint",
                id=core.ids.new("checkpoint"),
                created_at=int(checkpoints[number]),
                fine_tuned_model_checkpoint=model,
                fine_tuning_job_id=self._id,
                metrics=checkpoint_metrics(steps[number - 1]),
                step_number=number,
            )
            self._checkpoints.put(checkpoint.id, checkpoint)
        self._update(
            fine_tuned_model=name,
            finished_at=int(timestamp),
            estimated_finish=None,
            result_files=[results.id],
            trained_tokens=steps[-1].elapsed_tokens,
        )
        self._end_training()
        plan = self._state.failure_plan
        if plan is not None and plan.after_action:
            self._add_model_events(timestamp)
        return "next"

    async def _report(self, timestamp: float) -> TransitionResult:
        self._add_model_events(timestamp)
        self.events.add_message(self._behavior.completed_event, timestamp)
        return "next"

    def _add_model_events(self, timestamp: float) -> None:
        name = self.job.fine_tuned_model
        for checkpoint in self._checkpoints.get_page(newest_first=False).records:
            snapshot = checkpoint.fine_tuned_model_checkpoint
            if snapshot != name:
                self.events.add_message(
                    self._behavior.checkpoint_event,
                    timestamp,
                    step=checkpoint.step_number,
                    model=snapshot,
                )
        self.events.add_message(self._behavior.model_created_event, timestamp, model=name)

    def _set_status(self, status: str, timestamp: float) -> None:
        del timestamp
        if self.job.status != status:
            self._update(status=status)

    def _fail(self, failure: Failure, timestamp: float) -> None:
        self.events.add_message(failure.message, timestamp, level=self._behavior.failure_level)
        self._update(
            status="failed",
            finished_at=int(timestamp),
            estimated_finish=None,
            error=FineTuningJobError(
                code=failure.code, message=failure.message, param=failure.param
            ),
        )

    def _resolve_auto_hyperparameters(self, chosen: Hyperparameters) -> None:
        """Replace `auto` with the values that the engine chose."""
        values = {
            "batch_size": chosen.batch_size,
            "learning_rate_multiplier": chosen.learning_rate_multiplier,
            "n_epochs": chosen.n_epochs,
        }

        def resolve(hyperparameters: FineTuningHyperparameters) -> FineTuningHyperparameters:
            beta = {"beta": 0.1} if hyperparameters.beta == "auto" else {}
            return hyperparameters.model_copy(update={**values, **beta})

        job = self.job
        changes: dict[str, object] = {}
        if job.hyperparameters is not None:
            changes["hyperparameters"] = resolve(job.hyperparameters)
        if job.method is not None and job.method.type is not None:
            kind = job.method.type
            part = getattr(job.method, kind)
            part = part.model_copy(update={"hyperparameters": resolve(part.hyperparameters)})
            changes["method"] = job.method.model_copy(update={kind: part})
        if chosen.options:
            changes["tunesmith"] = dict(chosen.options)
        self._update(**changes)

    def _update(self, **changes: object) -> FineTuningJob:
        job = self.job.model_copy(update=changes)
        self._jobs.put(job.id, job)
        return job
