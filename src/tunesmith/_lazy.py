"""Public names: read from a package's stub and loaded on first use; errors for missing ones."""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import get_data
from types import ModuleType

__all__ = ["attach_stub", "missing_attribute"]


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
            raise _missing_name(package, name)
        setattr(sys.modules[package], name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *sources()})

    return load, list_names


def missing_attribute(value: object, owners: tuple[str, ...], name: str) -> AttributeError:
    """Return the error for a missing attribute, with a hint if the official SDK has it.

    Args:
        value: The object that lacks it.
        owners: Kinds of object in the official SDK, most specific first; see `_sdk_names`.
        name: The attribute.
    """
    from tunesmith._sdk_names import find_hint  # noqa: PLC0415 - only needed for errors

    if isinstance(value, ModuleType):
        message = f"module {value.__name__!r} has no attribute {name!r}"
    else:
        message = f"{type(value).__name__!r} object has no attribute {name!r}"
    hint = find_hint(owners, name)
    if hint is None:
        return AttributeError(message, name=name, obj=value)
    return AttributeError(f"{message}: {hint}")


def _missing_name(package: str, name: str) -> Exception:
    owners = ("openai",) if package == "tunesmith" else ()
    error = missing_attribute(sys.modules[package], owners, name)
    # `from tunesmith import NAME` would replace an AttributeError, and with it the hint.
    caller = sys._getframe(2).f_code.co_name  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    has_hint = error.name is None
    return ImportError(*error.args) if caller == "_handle_fromlist" and has_hint else error
