"""JSON schemas of functions and of their arguments."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tunesmith._extras import import_extra
from tunesmith._json_types import is_list, is_object
from tunesmith.service.engines.base import EngineError

__all__ = ["argument_schemas", "check_schema", "parameters_of", "type_of", "value_types"]

Schema = Mapping[str, Any]

_MAX_REFERENCES = 100
"""More in one schema are not followed, since each is a level of recursion."""

_ALL_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


def check_schema(schema: Schema, subject: str, param: str) -> None:
    """Raise an error if texts cannot be constrained to a JSON schema.

    Args:
        schema: The schema.
        subject: Owner of the schema, such as `function 'weather'`.
        param: Parameter of the request with the schema.

    Raises:
        EngineError: The schema is invalid, or has a feature that is not supported.
    """
    problem = _find_problem(json.dumps(schema))
    if problem:
        raise EngineError(f"Invalid schema for {subject}: {problem}", param)


@lru_cache(maxsize=256)
def _find_problem(schema: str) -> str:
    matcher = import_extra("llguidance", "train", "Models with weights").LLMatcher
    problem: str = matcher.validate_grammar(matcher.grammar_from_json_schema(schema))
    return problem.strip()


def parameters_of(function: Mapping[str, Any]) -> Schema:
    """Return the schema of the arguments of a function, which are an object.

    Raises:
        EngineError: They are not.
    """
    schema: Any = function.get("parameters")
    schema = {} if schema is None else schema
    if not is_object(schema) or schema.get("type", "object") != "object":
        raise EngineError(
            f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of "
            "'type: \"object\"'.",
            "tools",
        )
    return {**schema, "type": "object"}


def argument_schemas(parameters: Schema) -> dict[str, Schema]:
    """Return the schema of each argument, with the definitions that it may refer to."""
    shared = {key: parameters[key] for key in ("$defs", "definitions") if key in parameters}
    properties: Any = parameters.get("properties") or {}
    return {
        name: {**shared, **schema} if is_object(schema) else {}
        for name, schema in properties.items()
    }


def value_types(
    schema: Any, root: Schema | None = None, known: dict[str, frozenset[str]] | None = None
) -> frozenset[str]:
    """Return the JSON types of the values that fit a schema.

    Args:
        schema: The schema; parts of it may be true or false.
        root: The schema with the definitions that it refers to; None for itself.
        known: Types of the references that were followed.
    """
    if not is_object(schema):
        return frozenset() if schema is False else _ALL_TYPES
    root = schema if root is None else root
    known = {} if known is None else known
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target = _find(root, reference)
        if reference not in known and target is not None and len(known) < _MAX_REFERENCES:
            known[reference] = _ALL_TYPES  # until it is known, since it may refer to itself
            known[reference] = value_types(target, root, known)
        return known.get(reference, _ALL_TYPES)
    kind = schema.get("type")
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(kind, str) or is_list(kind):
        types = frozenset([kind] if isinstance(kind, str) else map(str, kind))
    elif is_list(values):
        types = frozenset(map(type_of, values))
    else:
        types = _ALL_TYPES
        for key in ("anyOf", "oneOf"):
            if parts := schema.get(key):
                types &= frozenset().union(*(value_types(part, root, known) for part in parts))
        for part in schema.get("allOf") or ():
            types &= value_types(part, root, known)
    return types


def type_of(value: object) -> str:
    """Return the JSON type of a value."""
    return _TYPES[type(value)]


def _find(root: Schema, reference: str) -> Schema | None:
    """Return the part of a schema to which a reference points, if there is one."""
    target: Any = root
    for key in reference.removeprefix("#/").split("/"):
        target = target.get(key) if is_object(target) else None
    return target if is_object(target) else None
