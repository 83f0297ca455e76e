"""Pagination of lists."""

from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tunesmith._lazy import missing_attribute
from tunesmith.calls.caller import Caller
from tunesmith.calls.deadline import Deadline
from tunesmith.errors import PaginationError
from tunesmith.operations.base import Operation
from tunesmith.types.base import Page, PageItems, set_next_page_loader

__all__ = ["AsyncPaginator"]

T = TypeVar("T")


class AsyncPaginator(Generic[T]):
    """List that returns a page when awaited, and the items of all pages when iterated.

    Args:
        caller: The caller.
        operation: The list operation, with the cursor of the first page.
        deadline: Deadline of a longer call that all pages are part of; one per page if None.

    Example:
        ```python
        page = await client.files.list(limit=20)
        async for file in client.files.list():
            print(file.id)
        ```
    """

    __slots__ = ("_caller", "_deadline", "_operation")

    def __init__(
        self, caller: Caller, operation: Operation[Page[T]], deadline: Deadline | None = None
    ) -> None:
        self._caller = caller
        self._operation = operation
        self._deadline = deadline

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        return self._page(self._operation, None, {}).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        return PageItems(lambda: self._page(self._operation, None, {}))

    if not TYPE_CHECKING:  # type checkers report both themselves

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, ("list",), name)

        def __iter__(self) -> Any:
            raise TypeError(
                f"lists are asynchronous: write async for item in "
                f"client.{self._operation.spec.name}(…)"
            )

    async def _page(
        self,
        operation: Operation[Page[T]],
        after: str | None,
        previous_cursors: dict[str, str | None],
    ) -> Page[T]:
        """Fetch a page; `previous_cursors` maps each cursor of this list to the one before it."""
        page = await self._caller.call(operation, deadline=self._deadline)
        if page.data:
            cursor = _cursor(page)
            if previous_cursors.setdefault(cursor, after) != after:
                raise PaginationError(
                    f"{operation.spec.name}: the page after {after} ends with {cursor} again, so "
                    "the list would be endless",
                    operation=operation.spec.name,
                    request_id=page.response.request_id,
                )
        set_next_page_loader(page, partial(self._page_after, previous_cursors))
        return page

    async def _page_after(self, previous_cursors: dict[str, str | None], page: Page[T]) -> Page[T]:
        cursor = _cursor(page)
        return await self._page(_with_cursor(self._operation, cursor), cursor, previous_cursors)


def _cursor(page: Page[Any]) -> str:
    # Not `last_id`, which some servers omit.
    return str(getattr(page.data[-1], "id", None) or page.last_id)


def _with_cursor(operation: Operation[Page[T]], cursor: str) -> Operation[Page[T]]:
    if "after" in operation.spec.query_params:
        changed: Operation[Page[T]] = replace(operation, after=cursor)  # type: ignore[call-arg]
        return changed
    return replace(operation, extra_query={**(operation.extra_query or {}), "after": cursor})
