"""Registration of the methods that handle operations."""

from collections.abc import Callable, Mapping
from inspect import isasyncgenfunction
from typing import Any, TypeVar

from tunesmith.operations.base import Operation

__all__ = ["collect_handlers", "handles"]

H = TypeVar("H", bound=Callable[..., Any])


def handles(operation: type[Operation[Any]]) -> Callable[[H], H]:
    """Mark a method as the handler of an operation.

    An async generator handles the streamed form of the operation.

    Args:
        operation: The operation, which is the method's only argument.
    """

    def mark(method: H) -> H:
        setattr(method, "__handles__", operation)  # noqa: B010 - functions declare no such field
        return method

    return mark


def collect_handlers(
    *services: object,
) -> tuple[Mapping[type, Callable[..., Any]], Mapping[type, Callable[..., Any]]]:
    """Return the marked methods of some objects by operation: plain and streaming."""
    plain: dict[type, Callable[..., Any]] = {}
    streaming: dict[type, Callable[..., Any]] = {}
    for service in services:
        for name, method in vars(type(service)).items():
            operation = getattr(method, "__handles__", None)
            if operation is not None:
                handlers = streaming if isasyncgenfunction(method) else plain
                handlers[operation] = getattr(service, name)
    return plain, streaming
