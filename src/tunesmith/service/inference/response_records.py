"""Stored records of the Responses API."""

from tunesmith.service.core.store import Collection
from tunesmith.types.base import APIModel
from tunesmith.types.responses import Response, ResponseError

__all__ = ["PENDING_STATUSES", "ConversationRecord", "ResponseRecord", "fail_interrupted"]

PENDING_STATUSES = frozenset({"queued", "in_progress"})
"""Statuses of a response in the background that is not finished."""

_INTERRUPTED = ResponseError(
    code="server_error",
    message="The service was restarted while the response was generated. Create it again.",
)


class ResponseRecord(APIModel):
    """A stored response and the response that it continues."""

    response: Response
    parent_id: str | None = None


class ConversationRecord(APIModel):
    """A conversation and its last response."""

    id: str
    last_response_id: str


def fail_interrupted(records: Collection[ResponseRecord]) -> None:
    """Mark responses as failed that were generated in the background when the service ended.

    Args:
        records: The stored responses.
    """
    pending = records.get_page(where=lambda record: record.response.status in PENDING_STATUSES)
    for record in pending.records:
        changes = {"status": "failed", "error": _INTERRUPTED}
        response = record.response.model_copy(update=changes)
        records.put(response.id, record.model_copy(update={"response": response}))
