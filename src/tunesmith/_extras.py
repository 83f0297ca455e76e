"""Libraries that only some features need; each comes with an extra."""

from importlib import import_module
from typing import Any

from tunesmith.errors import ConfigurationError

__all__ = ["import_extra"]


def import_extra(module: str, extra: str, feature: str) -> Any:
    """Import a library that comes with an extra.

    Args:
        module: The library's module.
        extra: The extra of tunesmith that installs it.
        feature: The feature that needs it, in the plural, such as `Plots`.

    Raises:
        ConfigurationError: The library is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{feature} need an extra: pip install 'tunesmith[{extra}]'."
        ) from error
