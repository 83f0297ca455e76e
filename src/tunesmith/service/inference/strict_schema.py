"""Strict mode of JSON schemas: what the API refuses in them.

Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from tunesmith.service.core.errors import invalid

__all__ = ["validate_strict_schema"]

Fields = Mapping[str, Any]


def validate_strict_schema(schema: object, subject: str, param: str) -> None:
    """Raise an error if strict mode does not support a schema.

    Args:
        schema: The schema.
        subject: Owner of the schema, such as `function 'weather'`.
        param: Parameter with the schema.

    Raises:
        ServiceError: An object allows other properties, or does not require all of its own.
    """
    for problem in _find_problems(_mapping(schema), ()):
        code = "invalid_function_parameters" if param.startswith("tools") else None
        raise invalid(f"Invalid schema for {subject}: {problem}", param, code)


def _find_problems(schema: Fields, context: tuple[str, ...]) -> Iterator[str]:
    yield from _own_problems(schema, context)
    for place, part in _parts(schema):
        yield from _find_problems(part, (*context, *place))


def _own_problems(schema: Fields, context: tuple[str, ...]) -> Iterator[str]:
    place = f"In context={context!r}, "
    kind = schema.get("type")
    if not context and kind != "object" and "$ref" not in schema:
        yield f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    if kind == "array" and "items" not in schema:
        yield f"{place}array schema missing items."
    if kind != "object" and "properties" not in schema:
        return
    if schema.get("additionalProperties") is not False:
        yield f"{place}'additionalProperties' is required to be supplied and to be false."
    for name in _mapping(schema.get("properties")):
        if name not in _list(schema.get("required")):
            yield (
                f"{place}'required' is required to be supplied and to be an array including every "
                f"key in properties. Missing '{name}'."
            )


def _parts(schema: Fields) -> Iterator[tuple[tuple[str, ...], Fields]]:
    """Yield the schemas inside of a schema, with their places."""
    for key in ("properties", "$defs", "definitions"):
        for name, part in _mapping(schema.get(key)).items():
            yield (key, name), _mapping(part)
    for number, part in enumerate(_list(schema.get("anyOf"))):
        yield ("anyOf", str(number)), _mapping(part)
    if "items" in schema:
        yield ("items",), _mapping(schema["items"])


def _mapping(value: object) -> Fields:
    return cast("Fields", value) if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
