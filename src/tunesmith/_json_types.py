"""Type guards for JSON values."""

from typing import Any, TypeGuard

__all__ = ["is_list", "is_object", "json_type_name"]


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a value is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is a JSON list."""
    return isinstance(value, list)


def json_type_name(value: object) -> str:
    """Return the name of a JSON value's type for a message, such as `an object`."""
    names: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
