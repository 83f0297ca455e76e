"""Raw responses: results together with headers and status, by their name in the official SDK."""

import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from tunesmith._lazy import missing_attribute
from tunesmith.resources.stream import OpenStream
from tunesmith.types.base import APIResponse

__all__ = ["RawMethods", "RawResponse"]

A = TypeVar("A")


class _Headers(Mapping[str, str]):
    """Headers whose names may be written in any case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        return self._headers[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


class RawResponse(Generic[A]):
    """Response of a method called by way of `with_raw_response`.

    Each result has the same data as `result.response`, without `with_raw_response`.

    Args:
        result: The result of the method.
    """

    def __init__(self, result: A) -> None:
        self._result = result
        info = cast("APIResponse", result).response
        self.status_code = info.status
        self.headers: Mapping[str, str] = _Headers(info.headers)
        self.request_id = info.request_id
        self.retries_taken = info.attempts - 1

    if not TYPE_CHECKING:  # type checkers report unknown names themselves

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, ("raw",), name)

    def parse(self) -> A:
        """Return the result of the method."""
        return self._result


class RawMethods:
    """Methods of a resource that return a `RawResponse`.

    Args:
        resource: The resource.

    Example:
        ```python
        raw = await client.models.with_raw_response.list()
        print(raw.headers["X-Request-Id"], raw.parse().data)
        ```
    """

    def __init__(self, resource: object) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, RawResponse[Any]]]:
        method = getattr(self._resource, name)

        async def call(*args: Any, **kwargs: Any) -> RawResponse[Any]:
            result = method(*args, **kwargs)
            if not inspect.isawaitable(result) or isinstance(result, OpenStream):
                raise TypeError(
                    f"with_raw_response.{name} cannot be awaited: call {name}(…) itself; streams "
                    "have the headers as stream.response.headers"
                )
            return RawResponse(await result)

        call.__doc__ = method.__doc__
        call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
        return call
