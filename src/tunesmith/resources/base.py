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
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from pydantic import BaseModel, ValidationError

from tunesmith._lazy import explain_parameter, explains_parameters, missing_attribute
from tunesmith.calls.caller import Caller
from tunesmith.errors import InvalidRequestError
from tunesmith.operations.base import Operation, OperationSpec, StreamOperation
from tunesmith.protocol.json import problem_path
from tunesmith.resources.pages import AsyncPaginator
from tunesmith.resources.stream import OpenStream, Stream
from tunesmith.types.base import Page

if TYPE_CHECKING:
    from tunesmith.resources.raw import RawMethods

__all__ = [
    "Call",
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

_TIMEOUT = "must be a number of seconds above 0"
_MAX_PROBLEMS = 3
"""Number of problems that an error message lists."""


class Resource:
    """Objects of the API of one kind, with their operations as methods.

    Args:
        caller: The caller.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def __init_subclass__(cls) -> None:
        # As the methods of operations, those that are written out explain unknown parameters.
        for name, value in list(vars(cls).items()):
            if isinstance(value, FunctionType) and not name.startswith("_"):
                setattr(cls, name, explains_parameters(value))

    @property
    def with_raw_response(self) -> "RawMethods":
        """The methods of this resource, with status and headers: see `RawResponse`."""
        from tunesmith.resources.raw import RawMethods  # noqa: PLC0415 - rarely used

        return RawMethods(self)

    if not TYPE_CHECKING:  # type checkers report unknown names themselves

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, ("resource",), name)


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
        spec = cast("type[Operation[Any]]", operation).spec
        if spec.event_type is not None and not kwargs.get("stream", True):
            # A habit of the official SDK that changes nothing.
            options: Any = {name: value for name, value in kwargs.items() if name != "stream"}
            return build_operation(operation, *args, **options)
        problems = list(dict.fromkeys(_describe_problems(operation, spec, error, kwargs)))
        shown = "; ".join(f"{param}: {problem}" for param, problem in problems[:_MAX_PROBLEMS])
        raise InvalidRequestError(
            f"{spec.name}: {shown}", operation=spec.name, param=problems[0][0]
        ) from None


def _describe_problems(
    operation: Callable[..., Any],
    spec: OperationSpec,
    error: ValidationError,
    parameters: Mapping[str, Any],
) -> Iterator[tuple[str, str]]:
    """Describe each problem by its parameter; unknown parameters first, as others may follow."""
    problems = error.errors(include_url=False)
    positional = [p for p in problems if p["type"] == "unexpected_positional_argument"]
    if positional:
        method = spec.name.rpartition(".")[2]
        known = operation_signature(operation).parameters.values()
        name = next(p.name for p in known if p.kind is inspect.Parameter.KEYWORD_ONLY)
        yield name, f"pass parameters by name: {method}({name}=…)"
        return
    unknown = [p for p in problems if p["type"] == "unexpected_keyword_argument"]
    for problem in unknown:
        name = str(problem["loc"][0])
        yield name, _explain_unknown(operation, spec, name)
    for problem in problems:
        if problem not in unknown:
            location = problem["loc"]
            if isinstance(location[0], int):  # a positional argument
                location = (list(operation_signature(operation).parameters)[location[0]],)
                problem["loc"] = (*location, *problem["loc"][1:])
            param = ".".join(map(str, problem_path(problem, parameters)))
            is_untagged = problem["type"] == "union_tag_not_found"
            message = "Field required" if is_untagged else problem["msg"]
            yield param, _TIMEOUT if param == "timeout" else message


def _explain_unknown(operation: Callable[..., Any], spec: OperationSpec, name: str) -> str:
    if name == "stream" and spec.event_type is not None:
        # Stored responses are streamed by another name, because `stream` creates one.
        resource, _, method = spec.name.rpartition(".")
        method = "follow" if method == "retrieve" else "stream"
        return f"leave it out; to stream, write async with client.{resource}.{method}(…) as stream"
    known = operation_signature(operation).parameters
    hint = explain_parameter(name, (spec.name, "parameter"), known)
    return f"unknown parameter{hint or f': pass it as extra_body={{{name!r}: …}}'}"


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
        try:
            operation = build_operation(method.operation, *args, **kwargs)
        except InvalidRequestError as error:
            # Reports of errors print the variables of each frame, and headers may hold a key.
            del args, kwargs
            raise error.with_traceback(None) from None
        return method.invoke(self._caller, operation)

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


class Call(Coroutine[Any, Any, R]):
    """Coroutine of a call, whose error about a missing `await` shows where to write it.

    Args:
        coroutine: The coroutine.
        method: Name of the method, such as `chat.completions.create`.
    """

    __slots__ = ("_coroutine", "_method")

    def __init__(self, coroutine: Coroutine[Any, Any, R], method: str) -> None:
        self._coroutine = coroutine
        self._method = method

    def __await__(self) -> Generator[Any, Any, R]:
        return self._coroutine.__await__()

    def send(self, value: Any, /) -> Any:
        """Resume the coroutine."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error in the coroutine."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Close the coroutine."""
        self._coroutine.close()

    if not TYPE_CHECKING:  # type checkers report both themselves

        def __getattr__(self, name: str) -> Any:
            if name.startswith(("_", "cr_")):  # of coroutines, for debuggers
                return getattr(self._coroutine, name)
            raise AttributeError(
                f"a call has no {name!r} before it is awaited: "
                f"write (await client.{self._method}(…)).{name}"
            )

        def __getitem__(self, key: object) -> Any:
            raise TypeError(f"a call is not subscriptable: write await client.{self._method}(…)")


def operation_method(operation: Callable[P, Operation[A]]) -> _Method[P, Coroutine[Any, Any, A]]:
    """Create a method that returns the response of an operation."""
    return _Method(operation, lambda caller, request: Call(caller.call(request), request.spec.name))


def paged(operation: Callable[P, Operation[Page[T]]]) -> _Method[P, AsyncPaginator[T]]:
    """Create a method that returns a page when awaited, and all items when iterated."""
    return _Method(operation, AsyncPaginator)


def streamed(
    operation: Callable[P, StreamOperation[A, E]],
) -> _Method[P, AbstractAsyncContextManager[Stream[A, E]]]:
    """Create a method that returns a stream, an asynchronous context manager."""
    return _Method(operation, OpenStream)
