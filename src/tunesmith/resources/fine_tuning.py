"""Fine-tuning: jobs, events, checkpoints, permissions and graders."""

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
from tunesmith.resources.polling import JobEventStream, read_results, wait_for_job
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from tunesmith.types.results import JobResults

__all__ = ["FineTuning"]


class JobCheckpoints(Resource):
    """Checkpoints of a job."""

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
        """Checkpoints of a job."""
        return JobCheckpoints(self.caller)

    def follow(
        self,
        job: FineTuningJob | str,
        *,
        deadline: float | None = None,
        poll_interval: float = 2.0,
    ) -> AsyncIterator[FineTuningJobEvent]:
        """Iterate over the events of a job as they arrive, oldest first, until the last one.

        Waits for the last events, which arrive some seconds after the end of the job, and resumes
        after connection failures.

        Args:
            job: The job or its ID.
            deadline: Seconds to follow; the client's deadline by default.
            poll_interval: Seconds between polls.

        Raises:
            NotFoundError: The job does not exist.
            APIConnectionError: The service was unreachable for five minutes.
            DeadlineExceededError: The deadline passed; the job can be followed again.

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
        """Wait until a job is finished, and return it.

        Args:
            job: The job or its ID.
            deadline: Seconds to wait; the client's deadline by default.
            poll_interval: Seconds between polls.

        Raises:
            JobFailedError: The job failed; the error has the service's code and reason.
            JobCancelledError: The job was cancelled.
            NotFoundError: The job does not exist.
            APIConnectionError: The service was unreachable for five minutes.
            DeadlineExceededError: The deadline passed.

        Example:
            ```python
            job = await client.fine_tuning.jobs.wait(job, deadline=3600)
            print(job.fine_tuned_model)
            ```
        """
        return await wait_for_job(self.caller, job, deadline_s=deadline, poll_s=poll_interval)

    async def results(self, job: FineTuningJob | str) -> JobResults:
        """Download the metrics of a job.

        Args:
            job: The job or its ID; it must have succeeded.

        Raises:
            JobError: The job has no result file (yet).
            NotFoundError: The job does not exist.
        """
        retrieve = RetrieveFineTuningJob(job if isinstance(job, str) else job.id)
        return await read_results(self.caller, "fine_tuning.jobs.results", retrieve)


class Permissions(Resource):
    """Permissions of projects to use a checkpoint; needs an admin key."""

    create = paged(CreateCheckpointPermissions)
    list = paged(ListCheckpointPermissions)
    delete = operation_method(DeleteCheckpointPermission)


class Checkpoints(Resource):
    """Checkpoints as models."""

    @cached_property
    def permissions(self) -> Permissions:
        """Permissions of projects to use a checkpoint."""
        return Permissions(self.caller)


class Graders(Resource):
    """Graders, which compute rewards in reinforcement fine-tuning."""

    run = operation_method(RunGrader)
    validate = operation_method(ValidateGrader)


class Alpha(Resource):
    """Resources that the official SDK has under `alpha`."""

    @cached_property
    def graders(self) -> Graders:
        """Graders, as `fine_tuning.graders`."""
        return Graders(self.caller)


class FineTuning(Resource):
    """Fine-tuning: jobs, checkpoints, graders."""

    @cached_property
    def jobs(self) -> Jobs:
        """Fine-tuning jobs."""
        return Jobs(self.caller)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints as models."""
        return Checkpoints(self.caller)

    @cached_property
    def graders(self) -> Graders:
        """Graders, which compute rewards in reinforcement fine-tuning."""
        return Graders(self.caller)

    @cached_property
    def alpha(self) -> Alpha:
        """Resources that the official SDK has under `alpha`."""
        return Alpha(self.caller)
