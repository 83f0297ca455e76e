"""The life of one fine-tuning job: what each row of the timeline does to it."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tunesmith.service.core.event_messages import EventWording
from tunesmith.service.engines.base import TrainingSpec
from tunesmith.service.fine_tuning.events import JobEvents, checkpoint_metrics
from tunesmith.service.fine_tuning.lifecycle import Deed, Life, Workshop
from tunesmith.service.fine_tuning.result_files import step_metrics
from tunesmith.service.fine_tuning.timeline import Failure, Next, Timeline
from tunesmith.service.fine_tuning.training_run import TrainingRun, begin_training
from tunesmith.types.fine_tuning import (
    FineTuningHyperparameters,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobError,
)

__all__ = ["JobLife", "JobStyle"]


@dataclass(frozen=True, slots=True)
class JobStyle:
    """What differs from job to job, and from year to year.

    Args:
        wording: What the events say.
        results_base64: Whether the result file is written in base64.
    """

    wording: EventWording
    results_base64: bool


class JobLife(Life):
    """Takes one job from its creation to its end.

    Args:
        workshop: What to work with.
        timeline: What happens, and when.
        job: The job, as it was created.
        spec: Reads and checks its files; it runs in a worker thread.
        suffix: The text that the owner wants in the model's name.
        style: What differs from job to job, and from year to year.
    """

    def __init__(
        self,
        workshop: Workshop,
        timeline: Timeline,
        job: FineTuningJob,
        spec: Callable[[], TrainingSpec],
        suffix: str | None,
        style: JobStyle,
    ) -> None:
        super().__init__(workshop, timeline, job.id)
        self._jobs = workshop.store.collection("jobs", FineTuningJob)
        self._checkpoints = workshop.store.collection(
            "checkpoints", FineTuningJobCheckpoint, of=job.id
        )
        self._base = job.model or ""
        self._spec = spec
        self._suffix = suffix or ""
        self._step_at: dict[int, float] = {}
        self._style = style
        self._words = style.wording
        self.events = JobEvents(workshop.store, workshop.ids, job.id, style.wording)
        self._jobs.put(job.id, job)
        self._walk.begin(workshop.clock.time())

    @property
    def job(self) -> FineTuningJob:
        """The job as it is now."""
        job = self._jobs.get(self._id)
        assert job is not None  # noqa: S101 - jobs are never deleted
        return job

    def stop(self, status: str, message: str | None) -> FineTuningJob:
        """Cancel or pause the job."""
        self._halt()
        if message is not None:
            self.events.say(message, self._shop.clock.time())
        return self._change(status=status, estimated_finish=None)

    def resume(self) -> FineTuningJob:
        """Let a paused job queue again; a job that trained goes on where it was."""
        message = self._shop.assumptions.resume_message
        now = self._shop.clock.time()
        if message is not None:
            self.events.say(message, now)
        self._walk.go_to("start", now)
        return self._change(status="queued")

    def _deeds(self) -> Mapping[str, Deed]:
        return {
            "announce": self._announce,
            "validate": self._validate,
            "enqueue": self._enqueue,
            "start": self._start,
            "step": self._step,
            "finish": self._finish,
            "report": self._report,
        }

    async def _announce(self, at: float) -> Next:
        job = self.job
        also = f" and validation file: {job.validation_file}" if job.validation_file else ""
        self.events.say(self._words.created, at, job=job.id)
        self.events.say(self._words.validating, at, files=f"{job.training_file}{also}")
        return "on"

    async def _validate(self, at: float) -> Next:
        del at
        weights = self._shop.models.resolve(self._base)
        training = await begin_training(self._shop.clock, weights, self._spec)
        self._training = training
        self._choose(training)
        return "on"

    async def _enqueue(self, at: float) -> Next:
        self.events.say(self._words.validated, at)
        return "on"

    async def _start(self, at: float) -> Next:
        self.events.say(self._words.started, at, has_data=False)
        left = self._run.total_steps - len(self._run.steps)
        finish = at + self._timeline.seconds_from("start", left)
        self._change(estimated_finish=int(finish))
        return "on"

    async def _step(self, at: float) -> Next:
        run = self._run
        if len(run.steps) >= run.total_steps:
            return "on"  # it was paused after its last step
        step = await run.advance()
        last = step.step >= run.total_steps
        every = self._words.every_steps or self._timeline.event_every_steps
        if last or step.step % every == 0:
            self.events.tell_step(step, run.total_steps, at)
        if run.ends_epoch(step):
            self._step_at[step.step] = at
        return "on" if last else "again"

    async def _finish(self, at: float) -> Next:
        run = self._run
        content = step_metrics(run.steps)
        if self._style.results_base64:
            content = base64.b64encode(content)
        results = self._shop.files.add([content], "step_metrics.csv", "fine-tune-results", at=at)
        base = self._shop.models.base_of(self._base)
        name = ":".join(
            ["ft", base, self._shop.organization_name, self._suffix, self._shop.ids.new("model")]
        )
        for number, weights in run.weights.items():
            last = number == run.total_steps
            model = name if last else f"{name}:ckpt-step-{number}"
            self._shop.models.register(model, weights, base=self._base, at=at)
            checkpoint = FineTuningJobCheckpoint(
                object="fine_tuning.job.checkpoint",
                id=self._shop.ids.new("checkpoint"),
                created_at=int(self._step_at[number]),
                fine_tuned_model_checkpoint=model,
                fine_tuning_job_id=self._id,
                metrics=checkpoint_metrics(run.steps[number - 1]),
                step_number=number,
            )
            self._checkpoints.put(checkpoint.id, checkpoint)
        self._change(
            fine_tuned_model=name,
            finished_at=int(at),
            estimated_finish=None,
            result_files=[results.id],
            trained_tokens=run.steps[-1].elapsed_tokens,
        )
        if self._fate is not None and self._fate.done:
            self._tell_of_model(at)
        return "on"

    async def _report(self, at: float) -> Next:
        self._tell_of_model(at)
        self.events.say(self._words.completed, at)
        return "on"

    def _tell_of_model(self, at: float) -> None:
        name = self.job.fine_tuned_model
        for checkpoint in self._checkpoints.window(newest_first=False).records:
            snapshot = checkpoint.fine_tuned_model_checkpoint
            if snapshot != name:
                self.events.say(
                    self._words.checkpoint, at, step=checkpoint.step_number, model=snapshot
                )
        self.events.say(self._words.model_created, at, model=name)

    def _enter(self, status: str, at: float) -> None:
        del at
        if self.job.status != status:
            self._change(status=status)

    def _end_in_failure(self, failure: Failure, at: float) -> None:
        self.events.say(failure.message, at, level=self._shop.assumptions.failure_level)
        self._change(
            status="failed",
            finished_at=int(at),
            estimated_finish=None,
            error=FineTuningJobError(
                code=failure.code, message=failure.message, param=failure.param
            ),
        )

    def _choose(self, training: TrainingRun) -> None:
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
            changes["hyperparameters"] = _with_numbers(job.hyperparameters, numbers)
        if job.method is not None and job.method.type is not None:
            kind = job.method.type
            part = getattr(job.method, kind)
            part = part.model_copy(
                update={"hyperparameters": _with_numbers(part.hyperparameters, numbers)}
            )
            changes["method"] = job.method.model_copy(update={kind: part})
        self._change(**changes)

    def _change(self, **changes: object) -> FineTuningJob:
        job = self.job.model_copy(update=changes)
        self._jobs.put(job.id, job)
        return job


def _with_numbers(
    given: FineTuningHyperparameters, numbers: dict[str, float]
) -> FineTuningHyperparameters:
    beta = {"beta": 0.1} if given.beta == "auto" else {}
    return given.model_copy(update={**numbers, **beta})
