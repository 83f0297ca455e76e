"""Fine-tunes of the legacy API, for code and servers from before 2024."""

from tunesmith.operations.fine_tunes import (
    CancelFineTune,
    CreateFineTune,
    ListFineTuneEvents,
    ListFineTunes,
    RetrieveFineTune,
)
from tunesmith.resources.base import Resource, operation_method, paged, streamed
from tunesmith.resources.polling import read_results
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
        retrieve = RetrieveFineTune(fine_tune_id)
        return await read_results(self.caller, "fine_tunes.results", retrieve)
