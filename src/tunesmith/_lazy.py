"""Names of a package that are loaded when first asked for, so that importing it stays quick."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["lazy_names"]


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Make a package's `__getattr__` (PEP 562).

    Args:
        package: The package's `__name__`.
        modules: From public names to the modules that define them, as `.batches` inside the package
            or by their whole name.

    Returns:
        A function that loads a name, and keeps it in the package.
    """

    def load(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
