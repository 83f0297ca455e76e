"""Resources, and methods that take their parameters from an operation.

```python
from tunesmith.operations.models import ListModels, RetrieveModel
from tunesmith.resources.base import Resource, operation_method, paged


class Models(Resource):
    retrieve = operation_method(RetrieveModel)  # retrieve(model, *, timeout=None) -> Model
    list = paged(ListModels)  # a page when awaited, the items of all pages when iterated
```

Type checkers, editors, `help()` and `inspect.signature` show the operation's parameters.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, ParamSpec, TypeVar, cast

from pydantic import BaseModel, ValidationError

from tunesmith.calls.caller import Caller
from tunesmith.errors import InvalidRequestError
from tunesmith.operations.base import Operation, StreamOperation
from tunesmith.resources.pages import AsyncPaginator
from tunesmith.resources.stream import Stream, open_stream
from tunesmith.types.base import Page

__all__ = [
    "Resource",
    "build_operation",
    "operation_method",
    "operation_signature",
    "paged",
    "streamed",
    "validate_poll_interval",
]

P = ParamSpec("P")
A = TypeVar("A")
E = TypeVar("E", bound=BaseModel)
R = TypeVar("R")
T = TypeVar("T")

_MAX_PROBLEMS = 3
"""Number of problems that an error message lists."""


class Resource:
    """Objects of the API of one kind, with their operations as methods.

    Args:
        caller: The caller.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller


def validate_poll_interval(seconds: float) -> None:
    """Raise an error if a poll interval is not positive.

    Raises:
        InvalidRequestError: The interval is not above 0.
    """
    if not seconds > 0:
        raise InvalidRequestError(
            f"poll_interval must be more than 0 seconds, not {seconds}", param="poll_interval"
        )


def build_operation(
    operation: Callable[P, Operation[A]], *args: P.args, **kwargs: P.kwargs
) -> Operation[A]:
    """Create an operation.

    Raises:
        InvalidRequestError: A parameter is missing, invalid or unknown.
    """
    try:
        return operation(*args, **kwargs)
    except ValidationError as error:
        name = cast("type[Operation[Any]]", operation).spec.name
        problems = [
            (".".join(str(part) for part in problem["loc"]), problem["msg"])
            for problem in error.errors(
                include_url=False, include_input=False, include_context=False
            )
        ]
        shown = "; ".join(f"{param}: {problem}" for param, problem in problems[:_MAX_PROBLEMS])
        raise InvalidRequestError(
            f"{name}: {shown}", operation=name, param=problems[0][0]
        ) from None


class _Method(Generic[P, R]):
    """Descriptor of a method that takes the parameters P and returns R."""

    def __init__(
        self,
        operation: Callable[P, Operation[Any]],
        invoke: Callable[[Caller, Operation[Any]], R],
    ) -> None:
        self.operation = operation
        self.invoke = invoke
        self.__doc__ = operation.__doc__

    def __get__(self, resource: Resource | None, owner: type) -> Callable[P, R]:
        return _Bound(self, resource.caller) if resource else cast("Callable[P, R]", self)

    @property
    def __signature__(self) -> inspect.Signature:
        return operation_signature(self.operation)


class _Bound(Generic[P, R]):
    # Without a docstring of its own: it shows that of the operation.

    __slots__ = ("_caller", "_method")

    def __init__(self, method: _Method[P, R], caller: Caller) -> None:
        self._method = method
        self._caller = caller

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        method = self._method
        return method.invoke(self._caller, build_operation(method.operation, *args, **kwargs))

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self._method.__doc__

    @property
    def __signature__(self) -> inspect.Signature:
        return self._method.__signature__


@functools.cache
def operation_signature(operation: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a method that takes the parameters of an operation."""
    fields = dataclasses.fields(cast("Any", operation))
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY
            if field.kw_only
            else inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty
            if field.default is dataclasses.MISSING
            else field.default,
            annotation=field.type,
        )
        for field in fields
    ]
    inherited = {field.name for field in dataclasses.fields(Operation)}
    parameters.sort(
        key=lambda p: (p.kind, p.name in inherited, p.default is not inspect.Parameter.empty)
    )
    return inspect.Signature(parameters)


def operation_method(operation: Callable[P, Operation[A]]) -> _Method[P, Coroutine[Any, Any, A]]:
    """Create a method that returns the response of an operation."""
    return _Method(operation, lambda caller, request: caller.call(request))


def paged(operation: Callable[P, Operation[Page[T]]]) -> _Method[P, AsyncPaginator[T]]:
    """Create a method that returns a page when awaited, and all items when iterated."""
    return _Method(operation, AsyncPaginator)


def streamed(
    operation: Callable[P, StreamOperation[A, E]],
) -> _Method[P, AbstractAsyncContextManager[Stream[A, E]]]:
    """Create a method that returns a stream, an asynchronous context manager."""
    return _Method(operation, open_stream)
