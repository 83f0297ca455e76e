"""All operations of the API, and their names."""

from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import tunesmith.operations
from tunesmith.operations.base import Operation


@cache
def all_operations() -> tuple[type[Operation[Any]], ...]:
    """Return every operation of the API.

    Example:
        ```python
        from tunesmith.operations.registry import all_operations

        for operation in all_operations():
            print(operation.spec.name, operation.spec.method, operation.spec.path)
        ```
    """
    package = tunesmith.operations
    modules = [
        import_module(f"{package.__name__}.{m.name}") for m in iter_modules(package.__path__)
    ]
    return tuple(
        value
        for module in modules
        for value in vars(module).values()
        if getattr(value, "__module__", None) == module.__name__ and "spec" in vars(value)
    )


def validate_operation_name(pattern: str) -> None:
    """Raise an error if no operation has a name, which is most likely mistyped.

    Args:
        pattern: The name; `*` stands for any text. Requests to unknown routes have the empty name.

    Raises:
        ValueError: No operation has such a name.
    """
    __tracebackhide__ = True  # pytest shows the line of the user instead
    names = [operation.spec.name for operation in all_operations()]
    if pattern and not any(fnmatchcase(name, pattern) for name in names):
        parts = set(pattern.split("."))
        longer = [name for name in names if parts <= set(name.split("."))]
        near = longer or get_close_matches(pattern, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(names))}"
        raise ValueError(f"unknown operation {pattern!r}: {hint}")
