"""The ground that all types of answers stand on: lenient models, and pages of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from tunesmith.types.response import ResponseInfo

__all__ = [
    "APIModel",
    "APIResponse",
    "DeletedObject",
    "Metadata",
    "Page",
    "PageItems",
    "to_datetime",
]

Item = TypeVar("Item")

Metadata = Mapping[str, str]
"""Up to 16 pairs that the service keeps with an object: keys to 64 characters, values to 512."""


class APIModel(BaseModel):
    """Anything that a service sends: unknown fields are kept, so a newer service breaks nothing."""

    model_config = ConfigDict(extra="allow", defer_build=True, protected_namespaces=())


class APIResponse(APIModel):
    """The whole answer to a call; it knows the response that it came in."""

    # A slot, not a private attribute: two equal answers stay equal whatever response they came in.
    __slots__ = ("_response",)

    @property
    def response(self) -> ResponseInfo:
        """Request id, headers, rate limits and attempts of the response this answer came in.

        Raises:
            AttributeError: The object was not an answer of its own, but part of one, or made by
                hand.
        """
        return cast("ResponseInfo", object.__getattribute__(self, "_response"))


class DeletedObject(APIResponse):
    """That an object was deleted."""

    id: str
    deleted: bool
    object: str | None = None


class Page(APIResponse, Generic[Item]):
    """One page of a list; iterating over it goes on to the pages after it.

    Example:
        ```python
        page = await client.files.list(limit=20)
        print(len(page.data), page.has_more)
        async for file in page:  # this page, and then the next ones
            print(file.id)
        ```
    """

    __slots__ = ("_pages_after",)

    object: str = "list"
    data: list[Item]
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None

    def __aiter__(self) -> AsyncIterator[Item]:
        return PageItems(self.next_page, self.data)

    async def next_page(self) -> "Page[Item] | None":
        """Ask for the page after this one; None if this is the last.

        Raises:
            PaginationError: The next page ends where an earlier one did: the list would never end.
        """
        if not (self.has_more and self.data):
            return None
        pages_after: Callable[[Page[Item]], Awaitable[Page[Item]]] | None
        pages_after = getattr(self, "_pages_after", None)
        return None if pages_after is None else await pages_after(self)


class PageItems(Generic[Item]):
    """Goes through the items of pages.

    It is no generator: one that is left early would wait for the garbage collector.

    Args:
        next_page: Asks for the first page, or the next one; None after the last.
        items: The items to begin with.
    """

    def __init__(
        self, next_page: Callable[[], Awaitable[Page[Item] | None]], items: Iterable[Item] = ()
    ) -> None:
        self._next_page = next_page
        self._items = iter(items)

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        while True:
            for item in self._items:
                return item
            page = await self._next_page()
            if page is None:
                raise StopAsyncIteration
            self._items = iter(page.data)
            self._next_page = page.next_page


def to_datetime(at: float | None) -> datetime | None:
    """Turn Unix seconds into an aware datetime in UTC.

    Fields keep the API's names and numbers; beside each `…_at` stands a property `…_datetime`:
    `job.created_at` is 1721692800, `job.created_datetime` is midnight of 23 July 2024.
    """
    return None if at is None else datetime.fromtimestamp(at, UTC)


def attach_response(answer: Any, response: ResponseInfo) -> None:
    """Let an answer know its response."""
    object.__setattr__(answer, "_response", response)


def set_next_page_loader(
    page: Page[Item], ask: Callable[[Page[Item]], Awaitable[Page[Item]]]
) -> None:
    """Let a page know how to ask for the page after it."""
    object.__setattr__(page, "_pages_after", ask)
