"""Nested values as flat pairs, for queries and forms, and back: `metadata[topic]=kant`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

__all__ = ["flatten", "unflatten"]


def flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Write a value as pairs: `{"anchor": "created_at"}` becomes `name[anchor]=created_at`.

    Args:
        name: The parameter's name.
        value: Text, number, boolean, mapping or sequence.
    """
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from flatten(f"{name}[{key}]", item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in cast("Sequence[Any]", value):  # type: ignore[redundant-cast] # not to pyright
            yield from flatten(f"{name}[]", item)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif value is not None:
        yield name, str(value)


def unflatten(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Read pairs back into nested values; scalars stay text.

    Args:
        pairs: Names and values, as a query or a form has them.
    """
    values: dict[str, Any] = {}
    for name, value in pairs:
        base, *keys = name.replace("]", "").split("[")
        if not keys:
            values[base] = value
        elif keys == [""]:
            values.setdefault(base, []).append(value)
        else:
            inner = values.setdefault(base, {})
            if isinstance(inner, dict):
                inner[keys[0]] = value
    return values
