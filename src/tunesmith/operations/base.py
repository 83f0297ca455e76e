"""Base class of operations.

A class states the operation's name, method, path and response type; its fields are the parameters.
The client encodes it, the service routes and decodes it, and resource methods take their signature
from it.

```python
from tunesmith.operations.base import Operation, operation
from tunesmith.types import FileObject


@operation("files.retrieve", "GET", "/files/{file_id}")
class RetrieveFile(Operation[FileObject]):
    file_id: str
```

Parameters named in the path's braces are part of the path. The others form the query of a GET or
DELETE and the body of a POST. None is not sent, and a received null counts as absent.
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
O = TypeVar("O")  # noqa: E741 - class of an operation

_STRICT = ConfigDict(extra="forbid", defer_build=True, arbitrary_types_allowed=True)


@dataclasses.dataclass(frozen=True, slots=True)
class OperationSpec:
    """Specification of an operation.

    Args:
        name: The name in faults, cassettes, logs and metrics, such as `files.create`.
        method: The HTTP method.
        path: The path below the base URL, with parameters in braces.
        path_params: Names of the parameters in the path.
        query_params: Names of the parameters in the query.
        body_params: Names of the parameters in the body.
        multipart: Whether the body is `multipart/form-data` instead of JSON.
        response_type: Type of the response.
        event_type: Type of a stream's events; None if the operation cannot be streamed.
        is_create: Whether each request creates another object.
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
    # pydantic returns the same class, but is annotated otherwise.
    return cast("type[O]", pydantic_dataclass(frozen=True, repr=False, config=_STRICT)(cls))


@_parameters
class Operation(Generic[A]):
    """Call of the API with validated parameters; `A` is the type of the response.

    Args:
        extra_headers: Headers to send with this call.
        extra_query: Further query parameters.
        extra_body: Further body parameters, such as `{"top_k": 40}` for compatible servers. They
            replace parameters of the same name.
        timeout: Seconds each attempt of this call may take.
    """

    spec: ClassVar[OperationSpec]

    extra_headers: Mapping[str, str] | None = dataclasses.field(default=None, kw_only=True)
    extra_query: Mapping[str, object] | None = dataclasses.field(default=None, kw_only=True)
    extra_body: Mapping[str, Any] | None = dataclasses.field(default=None, kw_only=True)
    timeout: Annotated[float, Gt(0)] | None = dataclasses.field(default=None, kw_only=True)

    def __repr__(self) -> str:
        # Prompts and documents must not reach logs and tracebacks.
        return f"<{self.spec.name}>"


_CALL_OPTIONS = frozenset(field.name for field in dataclasses.fields(Operation))


@_parameters
class StreamOperation(Operation[A], Generic[A, E]):
    """Operation that can be streamed; `E` is the type of the events."""


@dataclass_transform(kw_only_default=False, field_specifiers=(dataclasses.field,))
def operation(
    name: str,
    method: Literal["GET", "POST", "DELETE"],
    path: str,
    *,
    multipart: bool = False,
    is_create: bool = False,
) -> Callable[[type[O]], type[O]]:
    """Declare a class as an operation of the API.

    Args:
        name: The name in faults, cassettes, logs and metrics, such as `files.create`.
        method: The HTTP method.
        path: The path below the base URL, with parameters in braces.
        multipart: Whether the body is `multipart/form-data` instead of JSON.
        is_create: Whether each request creates another object. If the response is lost, the object
            is searched for before the request is repeated.

    Returns:
        A class decorator.
    """

    def declare(cls: type[O]) -> type[O]:
        declared = _parameters(cls)
        # The response type is named in `class RetrieveFile(Operation[FileObject])`.
        response_type, event_type = (*get_args(cls.__orig_bases__[0]), None)[:2]  # type: ignore[attr-defined]
        path_params = tuple(param for _, param, _, _ in Formatter().parse(path) if param)
        fields = dataclasses.fields(declared)  # type: ignore[arg-type]
        others = tuple(
            field.name
            for field in fields
            if field.name not in _CALL_OPTIONS and field.name not in path_params
        )
        declared.spec = OperationSpec(  # type: ignore[attr-defined]
            name=name,
            method=method,
            path=path,
            path_params=path_params,
            query_params=() if method == "POST" else others,
            body_params=others if method == "POST" else (),
            multipart=multipart,
            response_type=response_type,
            event_type=event_type,
            is_create=is_create,
        )
        return declared

    return declare
