"""Base classes of all response types: lenient models, and pages of them."""

import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from tunesmith._lazy import missing_attribute
from tunesmith.errors import PaginationError
from tunesmith.types.response import ResponseInfo

Item = TypeVar("Item")

_MAX_FACT_LENGTH = 300
"""Characters of a field that a notebook shows."""

Metadata = Mapping[str, str]
"""Up to 16 pairs that the service keeps with an object: keys to 64 characters, values to 512."""


class APIModel(BaseModel):
    """Object of the API. Unknown fields are kept, so newer services break nothing."""

    model_config = ConfigDict(extra="allow", defer_build=True, protected_namespaces=())

    _sdk_names: ClassVar[tuple[str, ...]] = ("result",)
    """Kinds of object in the official SDK, whose other names are explained in errors."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Return what `repr` shows: fields that have a value."""
        return ((name, value) for name, value in super().__repr_args__() if value is not None)

    def _repr_html_(self) -> str:
        """Return the fields that have a value as a table, for notebooks."""
        from tunesmith._html import render_facts, render_fragment  # noqa: PLC0415 - notebooks only

        return render_fragment(render_facts(_facts(self)))

    if not TYPE_CHECKING:  # keeps the inherited signatures

        def model_dump(self, **options: Any) -> dict[str, Any]:
            """Return the fields; raw values of other types cause no warning."""
            return super().model_dump(**{"warnings": False, **options})

        def model_dump_json(self, **options: Any) -> str:
            """Return the fields as JSON; raw values of other types cause no warning."""
            return super().model_dump_json(**{"warnings": False, **options})

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError as error:
                if name.startswith("__"):
                    raise
                raise missing_attribute(self, self._sdk_names, name) from error

        def __getitem__(self, key: object) -> Any:
            raise TypeError(
                f"{type(self).__name__!r} object is not subscriptable: write .{key}, or .to_dict()"
            )

    def to_dict(
        self,
        *,
        mode: Literal["json", "python"] = "python",
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> dict[str, Any]:
        """Return the received fields; `model_dump` with the defaults of the official SDK.

        Args:
            mode: `json` for values that JSON can express, or `python`.
            exclude_unset: Whether to leave out fields that were not received.
            exclude_defaults: Whether to leave out fields with their default.
            exclude_none: Whether to leave out fields that are None.
        """
        return self.model_dump(
            mode=mode,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def to_json(
        self,
        *,
        indent: int | None = 2,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> str:
        """Return the received fields as JSON; `model_dump_json` as in the official SDK.

        Args:
            indent: Number of spaces per level; None for a single line.
            exclude_unset: Whether to leave out fields that were not received.
            exclude_defaults: Whether to leave out fields with their default.
            exclude_none: Whether to leave out fields that are None.
        """
        return self.model_dump_json(
            indent=indent,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )


class ErrorObject(APIModel):
    """The `error` of an error response, or of an event in a stream.

    Source: https://platform.openai.com/docs/guides/error-codes
    """

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class APIResponse(APIModel):
    """Top-level object of a response."""

    # A slot, not a private attribute: equal objects stay equal whichever response they came in.
    __slots__ = ("_response",)

    @property
    def response(self) -> ResponseInfo:
        """Request ID, headers, rate limits and attempts of the response.

        Raises:
            AttributeError: The object is part of a response, or was not received at all.
        """
        return cast("ResponseInfo", object.__getattribute__(self, "_response"))

    @property
    def _request_id(self) -> str | None:
        """The service's ID of the request, by its name in the official SDK; None if unknown."""
        response: ResponseInfo | None = getattr(self, "_response", None)
        return response.request_id if response else None

    def __copy__(self) -> Self:
        return self._copy_slots(super().__copy__())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self._copy_slots(super().__deepcopy__(memo))

    def _copy_slots(self, copied: Self) -> Self:
        # Copies keep their response and next page, of which pydantic does not know.
        for name in ("_response", "_load_next"):
            if hasattr(self, name):
                object.__setattr__(copied, name, object.__getattribute__(self, name))
        return copied


class DeletedObject(APIResponse):
    """Confirmation that an object was deleted."""

    id: str
    deleted: bool
    object: str | None = None


class Page(APIResponse, Generic[Item]):
    """One page of a list. Iterating over it continues with the following pages.

    Example:
        ```python
        page = await client.files.list(limit=20)
        print(len(page.data), page.has_more)
        async for file in page:  # this page and all following ones
            print(file.id)
        ```
    """

    __slots__ = ("_load_next",)
    _sdk_names: ClassVar[tuple[str, ...]] = ("page", "result")

    object: str = "list"
    data: list[Item]
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None

    def __aiter__(self) -> AsyncIterator[Item]:
        return PageItems(self.next_page, self.data)

    if not TYPE_CHECKING:  # the inherited one yields the fields

        def __iter__(self) -> Any:
            raise TypeError(
                "pages are asynchronous: write async for item in page, or for item in page.data, "
                "which is this page only"
            )

        def __getitem__(self, key: object) -> Any:
            raise TypeError(f"pages are not subscriptable: write page.data[{key!r}]")

    def _repr_html_(self) -> str:
        """Return the objects of this page as a table, for notebooks."""
        from tunesmith._html import (  # noqa: PLC0415 - notebooks only
            render_fragment,
            render_table,
            tag,
        )

        rows = [
            _facts(item) if isinstance(item, APIModel) else {"": str(item)} for item in self.data
        ]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = render_table(columns, [[row.get(name) for name in columns] for row in rows])
        more = " More follow on the next page." if self.has_more else ""
        return render_fragment(tag("p", f"{len(self.data):,} objects.{more}"), table)

    async def next_page(self) -> "Page[Item] | None":
        """Fetch the next page; None after the last.

        Raises:
            PaginationError: The next page ends where an earlier one did, so the list is endless; or
                the page was pickled or not received, so it has no connection to its list.
        """
        if not (self.has_more and self.data):
            return None
        load: Callable[[Page[Item]], Awaitable[Page[Item]]] | None = getattr(
            self, "_load_next", None
        )
        if load is None:
            raise PaginationError(
                "this page was pickled or not received from a client, so its next page is unknown: "
                "list again with the ID of its last object as after="
            )
        return await load(self)


class PageItems(Generic[Item]):
    """Iterator over the items of all pages.

    Not a generator, which would stay open until garbage collection when left early.

    Args:
        next_page: Function that fetches the next page; None after the last.
        items: The items of the current page.
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


def _facts(model: APIModel) -> dict[str, str]:
    """Return the fields that have a value as text, the ID first."""
    texts: dict[str, str] = {}
    facts = {str(name): value for name, value in model.__repr_args__() if value not in ([], {})}
    facts.pop("object", None)  # the name of the class, to every reader of the table
    for name, value in sorted(facts.items(), key=lambda fact: fact[0] != "id"):
        time = getattr(model, f"{name.removesuffix('_at')}_datetime", None)
        text = str(value) if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"
        texts[name] = textwrap.shorten(text, _MAX_FACT_LENGTH, placeholder=" …")
    return texts


def to_datetime(seconds: float | None) -> datetime | None:
    """Convert Unix seconds to an aware datetime in UTC; None if they are missing or no date.

    Fields keep the API's names and numbers; each `…_at` has a property `…_datetime` beside it.
    """
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OSError, OverflowError, TypeError, ValueError):
        return None  # such as milliseconds, or text that was kept raw


def attach_response(value: Any, response: ResponseInfo) -> None:
    """Attach the response that an object was received in."""
    object.__setattr__(value, "_response", response)


def set_next_page_loader(
    page: Page[Item], load: Callable[[Page[Item]], Awaitable[Page[Item]]]
) -> None:
    """Set the function that fetches the page after a page."""
    object.__setattr__(page, "_load_next", load)
