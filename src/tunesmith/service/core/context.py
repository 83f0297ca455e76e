"""Dependencies shared by all parts of the service."""

from dataclasses import dataclass

from tunesmith.clock import VirtualClock
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.idempotency import IdempotentResponses
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.scheduler import Scheduler
from tunesmith.service.core.store import Store

__all__ = ["ServiceContext"]


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """Dependencies shared by all parts of the service.

    Args:
        store: Records and blobs.
        clock: The service's time.
        ids: Source of ids.
        scheduler: Runs actions when they are due.
        idempotent_responses: Responses to requests with an `Idempotency-Key`.
        behavior: Undocumented details of responses.
        organization: Id of the organization.
        organization_name: Name of the organization in the names of tuned models.
    """

    store: Store
    clock: VirtualClock
    ids: IdGenerator
    scheduler: Scheduler
    idempotent_responses: IdempotentResponses
    behavior: ServiceBehavior
    organization: str
    organization_name: str

    def now(self) -> int:
        """Return the current time in whole Unix seconds."""
        return int(self.clock.time())
