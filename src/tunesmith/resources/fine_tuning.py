"""Fine-tuning: jobs, their events and checkpoints, permissions, graders."""

from collections.abc import AsyncIterator
from functools import cached_property

from tunesmith.operations.fine_tuning import (
    CancelFineTuningJob,
    CreateCheckpointPermissions,
    CreateFineTuningJob,
    DeleteCheckpointPermission,
    ListCheckpointPermissions,
    ListFineTuningJobCheckpoints,
    ListFineTuningJobEvents,
    ListFineTuningJobs,
    PauseFineTuningJob,
    ResumeFineTuningJob,
    RetrieveFineTuningJob,
)
from tunesmith.operations.graders import RunGrader, ValidateGrader
from tunesmith.resources.base import Resource, operation_method, paged
from tunesmith.resources.job_polling import JobEventStream, job_results, wait_for_job
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from tunesmith.types.results import JobResults

__all__ = ["FineTuning"]


class JobCheckpoints(Resource):
    """The checkpoints of a job."""

    list = paged(ListFineTuningJobCheckpoints)


class Jobs(Resource):
    """Fine-tuning jobs."""

    create = operation_method(CreateFineTuningJob)
    retrieve = operation_method(RetrieveFineTuningJob)
    list = paged(ListFineTuningJobs)
    cancel = operation_method(CancelFineTuningJob)
    pause = operation_method(PauseFineTuningJob)
    resume = operation_method(ResumeFineTuningJob)
    list_events = paged(ListFineTuningJobEvents)

    @cached_property
    def checkpoints(self) -> JobCheckpoints:
        """The checkpoints of a job."""
        return JobCheckpoints(self.caller)

    def follow(
        self,
        job: FineTuningJob | str,
        *,
        deadline: float | None = None,
        poll_interval: float = 2.0,
    ) -> AsyncIterator[FineTuningJobEvent]:
        """Go through a job's events as they come: oldest first, each once, until all have come.

        The job's last events come some seconds after its end, and are waited for. A connection
        that drops does not end it: it goes on where it was.

        Args:
            job: The job or its id.
            deadline: Seconds that it may take in all; by default the client's.
            poll_interval: Seconds between two looks.

        Raises:
            NotFoundError: There is no such job.
            APIConnectionError: The service was out of reach for five minutes.
            DeadlineExceededError: The time is up; the job goes on, and can be followed again.

        Example:
            ```python
            async for event in client.fine_tuning.jobs.follow(job):
                print(event.created_datetime, event.message)
            ```
        """
        return JobEventStream(self.caller, job, deadline_s=deadline, poll_s=poll_interval)

    async def wait(
        self,
        job: FineTuningJob | str,
        *,
        deadline: float | None = None,
        poll_interval: float = 5.0,
    ) -> FineTuningJob:
        """Wait until a job is over, and return it as it is then.

        Args:
            job: The job or its id.
            deadline: Seconds that it may take in all; by default the client's.
            poll_interval: Seconds between two looks.

        Raises:
            JobFailedError: The job failed; the error has the service's code and reason.
            JobCancelledError: The job was cancelled.
            NotFoundError: There is no such job.
            APIConnectionError: The service was out of reach for five minutes.
            DeadlineExceededError: The time is up; the job goes on.

        Example:
            ```python
            job = await client.fine_tuning.jobs.wait(job, deadline=3600)
            print(job.fine_tuned_model)
            ```
        """
        return await wait_for_job(self.caller, job, deadline_s=deadline, poll_s=poll_interval)

    async def results(self, job: FineTuningJob | str) -> JobResults:
        """Download what a job measured at each step.

        Args:
            job: The job or its id; it must have succeeded.

        Raises:
            JobError: The job has no result file (yet).
            NotFoundError: There is no such job.
        """
        return await job_results(self.caller, job)


class Permissions(Resource):
    """Which projects may use a checkpoint; needs an admin key."""

    create = paged(CreateCheckpointPermissions)
    list = paged(ListCheckpointPermissions)
    delete = operation_method(DeleteCheckpointPermission)


class Checkpoints(Resource):
    """Checkpoints as models of their own."""

    @cached_property
    def permissions(self) -> Permissions:
        """Which projects may use a checkpoint."""
        return Permissions(self.caller)


class Graders(Resource):
    """Graders, which score the answers in reinforcement fine-tuning."""

    run = operation_method(RunGrader)
    validate = operation_method(ValidateGrader)


class Alpha(Resource):
    """What the official SDK keeps under `alpha`."""

    @cached_property
    def graders(self) -> Graders:
        """Graders: the same as `fine_tuning.graders`."""
        return Graders(self.caller)


class FineTuning(Resource):
    """Fine-tuning: jobs, checkpoints, graders."""

    @cached_property
    def jobs(self) -> Jobs:
        """Fine-tuning jobs."""
        return Jobs(self.caller)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints as models of their own."""
        return Checkpoints(self.caller)

    @cached_property
    def graders(self) -> Graders:
        """Graders, which score the answers in reinforcement fine-tuning."""
        return Graders(self.caller)

    @cached_property
    def alpha(self) -> Alpha:
        """What the official SDK keeps under `alpha`."""
        return Alpha(self.caller)
