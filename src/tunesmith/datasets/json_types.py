"""Telling JSON's objects and lists, so that type checkers know what is in them."""

from typing import Any, TypeGuard

__all__ = ["is_list", "is_object", "json_type_name"]


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether this is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether this is a JSON list."""
    return isinstance(value, list)


def json_type_name(value: object) -> str:
    """A JSON value's kind, in words."""
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")
