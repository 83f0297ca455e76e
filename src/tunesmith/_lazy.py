"""Public names of a package, read from its stub and loaded on first use."""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import get_data

__all__ = ["attach_stub"]


def attach_stub(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package whose public names stand in its stub.

    `__init__.pyi` imports each public name from the module that defines it. Type checkers and
    editors read it, and so does the interpreter when a name is first used: importing the package
    loads none of its modules, and each name is listed once.

    Args:
        package: The package's `__name__`.

    Example:
        ```python
        __getattr__, __dir__ = attach_stub(__name__)
        ```
    """

    @cache
    def sources() -> dict[str, str]:
        import ast  # noqa: PLC0415 - only needed once a name is used

        stub = get_data(package, "__init__.pyi") or b""
        return {
            alias.name: node.module
            for node in ast.parse(stub).body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }

    def load(name: str) -> object:
        value: object
        if name == "__all__":
            value = sorted(sources())
        elif name in sources():
            value = getattr(import_module(sources()[name]), name)
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *sources()})

    return load, list_names
