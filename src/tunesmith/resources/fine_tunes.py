"""Fine-tunes of the legacy API, for code and servers from before 2024."""

from tunesmith.errors import JobError
from tunesmith.operations.fine_tunes import (
    CancelFineTune,
    CreateFineTune,
    ListFineTuneEvents,
    ListFineTunes,
    RetrieveFineTune,
)
from tunesmith.resources.base import Resource, operation_method, paged, streamed
from tunesmith.resources.job_polling import read_results
from tunesmith.types.fine_tunes import FineTune
from tunesmith.types.results import JobResults

__all__ = ["FineTunes"]


class FineTunes(Resource):
    """Fine-tunes of the legacy API."""

    create = operation_method(CreateFineTune)
    retrieve = operation_method(RetrieveFineTune)
    list = paged(ListFineTunes)
    cancel = operation_method(CancelFineTune)
    list_events = paged(ListFineTuneEvents)
    stream_events = streamed(ListFineTuneEvents)

    async def results(self, fine_tune: FineTune | str) -> JobResults:
        """Download the metrics of a fine-tune.

        Args:
            fine_tune: The fine-tune or its ID; it must have succeeded.

        Raises:
            JobError: It has no result file (yet).
            NotFoundError: The fine-tune does not exist.
        """
        fine_tune_id = fine_tune if isinstance(fine_tune, str) else fine_tune.id
        deadline = self.caller.deadline("fine_tunes.results")
        current = await self.caller.call(RetrieveFineTune(fine_tune_id), deadline=deadline)
        if not current.result_files:
            raise JobError(
                f"fine-tune {fine_tune_id} has no result file: it is {current.status}",
                job_id=fine_tune_id,
            )
        return await read_results(self.caller, fine_tune_id, current.result_files[0].id, deadline)
