"""Pages of list operations."""

from typing import Protocol, TypeVar

from tunesmith.service.core.errors import invalid
from tunesmith.service.core.store import RecordPage
from tunesmith.types.base import Page

__all__ = ["to_page", "validate_limit"]


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=_HasId)


def validate_limit(limit: int | None, *, default: int, maximum: int) -> int:
    """Return the number of records on a page.

    Raises:
        ServiceError: The limit exceeds the maximum.
    """
    if limit is not None and limit > maximum:
        raise invalid(f"{limit} is greater than the maximum of {maximum} - 'limit'", "limit")
    return default if limit is None else limit


def to_page(window: RecordPage[R], *, with_ids: bool = True) -> Page[R]:
    """Convert records to a page; some lists of the API omit the first and last id."""
    ids = [record.id for record in window.records] if with_ids else []
    bounds = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return Page(
        object="list",
        data=window.records,
        has_more=window.has_more,
        **(bounds if with_ids else {}),
    )
