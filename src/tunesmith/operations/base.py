"""What an operation of the API is: one class holds all that is known of it.

A class names the operation, its method and path, and lists its parameters as fields. The client
encodes it, the service routes and decodes it, resource methods take their signature from it, and
the reference documentation lists it. Parameters are not written a second time.

```python
from tunesmith.operations.base import Operation, operation
from tunesmith.types import FileObject


@operation("files.retrieve", "GET", "/files/{file_id}")
class RetrieveFile(Operation[FileObject]):
    file_id: str
```

Where a parameter goes follows from its name and the method: a name in the path's braces is part of
the path, the rest is the query of a GET or DELETE and the body of a POST. A parameter that is None
is not sent, and a null that arrives counts as absent: the API knows no difference.
"""

import dataclasses
from collections.abc import Callable, Mapping
from string import Formatter
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
)

from annotated_types import Gt
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass

A = TypeVar("A")
E = TypeVar("E")
O = TypeVar("O")  # noqa: E741 - an operation's class

_STRICT = ConfigDict(extra="forbid", defer_build=True, arbitrary_types_allowed=True)


@dataclasses.dataclass(frozen=True, slots=True)
class OperationSpec:
    """The facts of one operation.

    Args:
        name: What a call is named in faults, cassettes, logs and metrics, such as `files.create`.
        method: The HTTP method.
        path: The path below the base URL, with parameters in braces.
        path_params: Names of the parameters in the path.
        query_params: Names of the parameters in the query.
        body_params: Names of the parameters in the body.
        multipart: Whether the body is `multipart/form-data` instead of JSON.
        response_type: The type of the answer.
        event_type: The type of a stream's events; None if the operation does not stream.
        is_create: Whether sending it twice makes two objects.
    """

    name: str
    method: Literal["GET", "POST", "DELETE"]
    path: str
    path_params: tuple[str, ...]
    query_params: tuple[str, ...]
    body_params: tuple[str, ...]
    multipart: bool
    response_type: Any
    event_type: Any
    is_create: bool


@dataclass_transform(kw_only_default=False, field_specifiers=(dataclasses.field,))
def _parameters(cls: type[O]) -> type[O]:
    # What comes back is the class itself, made a dataclass: pydantic's annotation cannot say so.
    return cast("type[O]", pydantic_dataclass(frozen=True, repr=False, config=_STRICT)(cls))


@_parameters
class Operation(Generic[A]):
    """A question to the service, all its parameters checked; `A` is the type of the answer.

    Args:
        extra_headers: Headers to send with this call.
        extra_query: Query parameters that this class does not know.
        extra_body: Body parameters that this class does not know, or other values for those it
            does: what compatible servers add, such as `{"top_k": 40}`.
        timeout: Seconds that an attempt of this call may take.
    """

    spec: ClassVar[OperationSpec]

    extra_headers: Mapping[str, str] | None = dataclasses.field(default=None, kw_only=True)
    extra_query: Mapping[str, str] | None = dataclasses.field(default=None, kw_only=True)
    extra_body: Mapping[str, Any] | None = dataclasses.field(default=None, kw_only=True)
    timeout: Annotated[float, Gt(0)] | None = dataclasses.field(default=None, kw_only=True)

    def __repr__(self) -> str:
        # Prompts and documents stay out of logs and tracebacks.
        return f"<{self.spec.name}>"


_CALL_OPTIONS = frozenset(field.name for field in dataclasses.fields(Operation))


@_parameters
class StreamOperation(Operation[A], Generic[A, E]):
    """An operation that can also answer bit by bit; `E` is the type of a stream's events."""


@dataclass_transform(kw_only_default=False, field_specifiers=(dataclasses.field,))
def operation(
    name: str,
    method: Literal["GET", "POST", "DELETE"],
    path: str,
    *,
    multipart: bool = False,
    creates: bool = False,
) -> Callable[[type[O]], type[O]]:
    """Declare a class as an operation of the API.

    Args:
        name: What a call is named in faults, cassettes, logs and metrics, such as `files.create`.
        method: The HTTP method.
        path: The path below the base URL, with parameters in braces.
        multipart: Whether the body is `multipart/form-data` instead of JSON.
        creates: Whether sending it twice makes two objects, so that a create whose answer was lost
            is looked up before it is sent again.

    Returns:
        A class decorator.
    """

    def declare(cls: type[O]) -> type[O]:
        declared = _parameters(cls)
        # The answer's type stands in `class RetrieveFile(Operation[FileObject])`.
        answer, event = (*get_args(cls.__orig_bases__[0]), None)[:2]  # type: ignore[attr-defined]
        in_path = tuple(part for _, part, _, _ in Formatter().parse(path) if part)
        fields = dataclasses.fields(declared)  # type: ignore[arg-type]
        names = [field.name for field in fields if field.name not in _CALL_OPTIONS]
        rest = tuple(name for name in names if name not in in_path)
        in_body = method == "POST"
        declared.spec = OperationSpec(  # type: ignore[attr-defined]
            name=name,
            method=method,
            path=path,
            path_params=in_path,
            query_params=() if in_body else rest,
            body_params=rest if in_body else (),
            multipart=multipart,
            response_type=answer,
            event_type=event,
            is_create=creates,
        )
        return declared

    return declare
