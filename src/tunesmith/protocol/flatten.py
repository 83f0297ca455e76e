"""Conversion of nested values to flat pairs for queries and forms: `metadata[topic]=kant`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, cast

from tunesmith.errors import InvalidRequestError

__all__ = ["flatten", "flatten_all", "unflatten"]


def flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Flatten a value: `{"anchor": "created_at"}` becomes `name[anchor]=created_at`.

    Args:
        name: Name of the parameter.
        value: Text, number, boolean, mapping or sequence.

    Raises:
        InvalidRequestError: A number is not finite, or a text has lone surrogates.
    """
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from flatten(f"{name}[{key}]", item)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | str):
        for item in cast("Sequence[Any]", value):  # type: ignore[redundant-cast] # not to pyright
            yield from flatten(f"{name}[]", item)
    elif isinstance(value, float) and not isfinite(value):
        raise InvalidRequestError(f"{name} must be a finite number, not {value}", param=name)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif value is not None:
        yield name, _to_text(name, value)


def _to_text(name: str, value: object) -> str:
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"{name} cannot be sent: {error}", param=name) from None
    return text


def flatten_all(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Flatten the values of several parameters, by name."""
    return (pair for name, value in values.items() for pair in flatten(name, value))


def unflatten(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Convert flat pairs to nested values; scalars stay text.

    Args:
        pairs: Names and values of a query or form.

    Raises:
        InvalidRequestError: A parameter appears both with and without keys.
    """
    values: dict[str, Any] = {}
    for name, value in pairs:
        base, *keys = name.replace("]", "").split("[")
        if not keys:
            values[base] = value
            continue
        inner = values.setdefault(base, [] if keys == [""] else {})
        if isinstance(inner, list) and keys == [""]:
            cast("list[Any]", inner).append(value)  # type: ignore[redundant-cast] # not to pyright
        elif isinstance(inner, dict) and keys != [""]:
            inner[keys[0]] = value
        else:
            raise InvalidRequestError(f"'{base}' appears both with and without keys", param=base)
    return values
