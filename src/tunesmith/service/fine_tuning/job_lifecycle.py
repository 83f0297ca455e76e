"""The life of one fine-tuning job: what each row of the timeline does to it."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tunesmith.service.core.event_messages import EventMessages
from tunesmith.service.engines.base import TrainingSpec
from tunesmith.service.fine_tuning.events import JobEvents, checkpoint_metrics
from tunesmith.service.fine_tuning.lifecycle import JobLifecycle, ServiceContext, TransitionAction
from tunesmith.service.fine_tuning.result_files import step_metrics
from tunesmith.service.fine_tuning.timeline import Failure, Timeline, TransitionResult
from tunesmith.service.fine_tuning.training_run import TrainingRun, start_training
from tunesmith.types.fine_tuning import (
    FineTuningHyperparameters,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobError,
)

__all__ = ["FineTuningJobLifecycle", "JobFormat"]


@dataclass(frozen=True, slots=True)
class JobFormat:
    """What differs from job to job, and from year to year.

    Args:
        wording: What the events say.
        results_base64: Whether the result file is written in base64.
    """

    wording: EventMessages
    results_base64: bool


class FineTuningJobLifecycle(JobLifecycle):
    """Takes one job from its creation to its end.

    Args:
        context: What to work with.
        timeline: What happens, and when.
        job: The job, as it was created.
        spec: Reads and checks its files; it runs in a worker thread.
        suffix: The text that the owner wants in the model's name.
        style: What differs from job to job, and from year to year.
    """

    def __init__(
        self,
        context: ServiceContext,
        timeline: Timeline,
        job: FineTuningJob,
        spec: Callable[[], TrainingSpec],
        suffix: str | None,
        style: JobFormat,
    ) -> None:
        super().__init__(context, timeline, job.id)
        self._jobs = context.store.collection("jobs", FineTuningJob)
        self._checkpoints = context.store.collection(
            "checkpoints", FineTuningJobCheckpoint, parent_id=job.id
        )
        self._base = job.model or ""
        self._spec = spec
        self._suffix = suffix or ""
        self._step_at: dict[int, float] = {}
        self._style = style
        self._words = style.wording
        self.events = JobEvents(context.store, context.ids, job.id, style.wording)
        self._jobs.put(job.id, job)
        self._walk.begin(context.clock.time())

    @property
    def job(self) -> FineTuningJob:
        """The job as it is now."""
        job = self._jobs.get(self._id)
        assert job is not None  # noqa: S101 - jobs are never deleted
        return job

    def stop(self, status: str, message: str | None) -> FineTuningJob:
        """Cancel or pause the job."""
        self._cancel_timers()
        if message is not None:
            self.events.add_message(message, self._context.clock.time())
        return self._update(status=status, estimated_finish=None)

    def resume(self) -> FineTuningJob:
        """Let a paused job queue again; a job that trained goes on where it was."""
        message = self._context.behavior.resume_message
        now = self._context.clock.time()
        if message is not None:
            self.events.add_message(message, now)
        self._walk.restart_from("start", now)
        return self._update(status="queued")

    def _actions(self) -> Mapping[str, TransitionAction]:
        return {
            "announce": self._emit_created,
            "validate": self._validate,
            "enqueue": self._enqueue,
            "start": self._start,
            "step": self._step,
            "finish": self._finish,
            "report": self._emit_final_events,
        }

    async def _emit_created(self, at: float) -> TransitionResult:
        job = self.job
        also = f" and validation file: {job.validation_file}" if job.validation_file else ""
        self.events.add_message(self._words.created, at, job=job.id)
        self.events.add_message(self._words.validating, at, files=f"{job.training_file}{also}")
        return "next"

    async def _validate(self, at: float) -> TransitionResult:
        del at
        weights = self._context.models.resolve(self._base)
        training = await start_training(self._context.clock, weights, self._spec)
        self._training = training
        self._resolve_auto_hyperparameters(training)
        return "next"

    async def _enqueue(self, at: float) -> TransitionResult:
        self.events.add_message(self._words.validated, at)
        return "next"

    async def _start(self, at: float) -> TransitionResult:
        self.events.add_message(self._words.started, at, has_data=False)
        left = self._run.total_steps - len(self._run.steps)
        finish = at + self._timeline.remaining_s("start", left)
        self._update(estimated_finish=int(finish))
        return "next"

    async def _step(self, at: float) -> TransitionResult:
        run = self._run
        if len(run.steps) >= run.total_steps:
            return "next"  # it was paused after its last step
        step = await run.advance()
        last = step.step >= run.total_steps
        every = self._words.every_steps or self._timeline.event_every_steps
        if last or step.step % every == 0:
            self.events.add_metrics(step, run.total_steps, at)
        if run.ends_epoch(step):
            self._step_at[step.step] = at
        return "next" if last else "repeat"

    async def _finish(self, at: float) -> TransitionResult:
        run = self._run
        content = step_metrics(run.steps)
        if self._style.results_base64:
            content = base64.b64encode(content)
        results = self._context.files.add([content], "step_metrics.csv", "fine-tune-results", at=at)
        base = self._context.models.base_of(self._base)
        name = ":".join(
            [
                "ft",
                base,
                self._context.organization_name,
                self._suffix,
                self._context.ids.new("model"),
            ]
        )
        for number, weights in run.weights.items():
            last = number == run.total_steps
            model = name if last else f"{name}:ckpt-step-{number}"
            self._context.models.register(model, weights, base=self._base, at=at)
            checkpoint = FineTuningJobCheckpoint(
                object="fine_tuning.job.checkpoint",
                id=self._context.ids.new("checkpoint"),
                created_at=int(self._step_at[number]),
                fine_tuned_model_checkpoint=model,
                fine_tuning_job_id=self._id,
                metrics=checkpoint_metrics(run.steps[number - 1]),
                step_number=number,
            )
            self._checkpoints.put(checkpoint.id, checkpoint)
        self._update(
            fine_tuned_model=name,
            finished_at=int(at),
            estimated_finish=None,
            result_files=[results.id],
            trained_tokens=run.steps[-1].elapsed_tokens,
        )
        if self._failure_plan is not None and self._failure_plan.after_action:
            self._emit_model_events(at)
        return "next"

    async def _emit_final_events(self, at: float) -> TransitionResult:
        self._emit_model_events(at)
        self.events.add_message(self._words.completed, at)
        return "next"

    def _emit_model_events(self, at: float) -> None:
        name = self.job.fine_tuned_model
        for checkpoint in self._checkpoints.get_page(newest_first=False).records:
            snapshot = checkpoint.fine_tuned_model_checkpoint
            if snapshot != name:
                self.events.add_message(
                    self._words.checkpoint, at, step=checkpoint.step_number, model=snapshot
                )
        self.events.add_message(self._words.model_created, at, model=name)

    def _set_status(self, status: str, at: float) -> None:
        del at
        if self.job.status != status:
            self._update(status=status)

    def _fail(self, failure: Failure, at: float) -> None:
        self.events.add_message(failure.message, at, level=self._context.behavior.failure_level)
        self._update(
            status="failed",
            finished_at=int(at),
            estimated_finish=None,
            error=FineTuningJobError(
                code=failure.code, message=failure.message, param=failure.param
            ),
        )

    def _resolve_auto_hyperparameters(self, training: TrainingRun) -> None:
        """Turn what is `auto` into the numbers that the training settled on."""
        chosen = training.hyperparameters
        numbers = {
            "batch_size": chosen.batch_size,
            "learning_rate_multiplier": chosen.learning_rate_multiplier,
            "n_epochs": chosen.n_epochs,
        }
        job = self.job
        changes: dict[str, object] = {}
        if job.hyperparameters is not None:
            changes["hyperparameters"] = _with_resolved_values(job.hyperparameters, numbers)
        if job.method is not None and job.method.type is not None:
            kind = job.method.type
            part = getattr(job.method, kind)
            part = part.model_copy(
                update={"hyperparameters": _with_resolved_values(part.hyperparameters, numbers)}
            )
            changes["method"] = job.method.model_copy(update={kind: part})
        self._update(**changes)

    def _update(self, **changes: object) -> FineTuningJob:
        job = self.job.model_copy(update=changes)
        self._jobs.put(job.id, job)
        return job


def _with_resolved_values(
    given: FineTuningHyperparameters, numbers: dict[str, float]
) -> FineTuningHyperparameters:
    beta = {"beta": 0.1} if given.beta == "auto" else {}
    return given.model_copy(update={**numbers, **beta})
