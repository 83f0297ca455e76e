"""Libraries that only some files need."""

from importlib import import_module
from typing import Any

from tunesmith.errors import ConfigurationError

__all__ = ["load_extra"]


def load_extra(module: str, extra: str) -> Any:
    """Import a library that comes with an extra.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"Files of this kind need an extra: pip install 'tunesmith[{extra}]'."
        ) from error
