"""Sampling of values that fit a JSON schema, for structured outputs and tool calls.

Values are predictable, so that tests can rely on them: of an object its required properties (all,
if none is required), of an array one item, the first option that is not null, the smallest allowed
number from 1 on, `true`, and for a text the next three words of the engine's text.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import cycle
from typing import Any, cast

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from tunesmith.service.core.errors import ServiceError, invalid

__all__ = ["sample_value", "word_cycle"]

Schema = Mapping[str, Any]

_WORDS_PER_TEXT = 3
_MAX_SIZE = 50_000
"""Parts of the schema that are read plus characters of the value: both may grow exponentially."""
_MAX_DEPTH = 6
"""Below this depth optional parts are left out, so that recursive schemas end."""
_MAX_PATTERN_CHARS = 1000
_PATTERN_COST = 500
_SHOWN_CHARS = 80

_FORMATS = {
    "date": "2024-04-22",
    "date-time": "2024-04-22T12:00:00Z",
    "duration": "P1D",
    "email": "kant@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def word_cycle(text: str) -> Iterator[str]:
    """Yield the words of a text, repeated endlessly."""
    return cycle(re.findall(r"\w+", text) or ["text"])


def sample_value(schema: Schema, words: Iterator[str]) -> Any:
    """Return a value that fits a schema.

    Args:
        schema: A JSON schema; its references are local (`#/$defs/…`).
        words: Words for its texts.

    Raises:
        ServiceError: The schema is invalid or too large, or has a pattern without an example.
    """
    sampler = _SchemaSampler(schema, words)
    try:
        return sampler.value(schema, 0)
    except RecursionError:
        raise _invalid("its required parts are infinitely deep") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, re.error):
        # Anything may stand in the place of a list, a number or a schema.
        raise _invalid(f"this part is not a JSON schema: {sampler.part}") from None


class _SchemaSampler:
    def __init__(self, root: Schema, words: Iterator[str]) -> None:
        self._root = root
        self._words = words
        self._remaining_size = _MAX_SIZE
        self._part: Schema | bool = root

    @property
    def part(self) -> str:
        """The part of the schema that was read last, as text."""
        text = json.dumps(self._part, ensure_ascii=False)
        return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"

    def value(self, schema: Schema | bool, depth: int) -> Any:
        self._part = schema
        self._charge(1)
        if isinstance(schema, bool):
            return self._text({})
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return next((option for option in schema["enum"] if option is not None), None)
        options: Sequence[Schema] = schema.get("anyOf") or schema.get("oneOf") or ()
        if options:
            avoid_null = depth < _MAX_DEPTH
            resolved = [self._resolve(option) for option in options]
            best = min(resolved, key=lambda option: (option.get("type") == "null") == avoid_null)
            return self.value(best, depth)
        makers: dict[str, Callable[[], Any]] = {
            "array": lambda: self._array(schema, depth),
            "boolean": lambda: True,
            "integer": lambda: _number(schema, is_integer=True),
            "null": lambda: None,
            "number": lambda: _number(schema, is_integer=False),
            "object": lambda: self._object(schema, depth),
            "string": lambda: self._text(schema),
        }
        return makers.get(_type(schema), makers["string"])()

    def _resolve(self, schema: Schema) -> Schema:
        for _ in range(_MAX_DEPTH):
            self._charge(1 + len(schema) + len(schema.get("properties") or ()))
            if "$ref" in schema:
                schema = {**self._lookup(schema["$ref"]), **_without(schema, "$ref")}
            elif "allOf" in schema:
                merged = dict(_without(schema, "allOf"))
                for part in schema["allOf"]:
                    merged = _merge(merged, self._resolve(part))
                    self._charge(len(merged.get("properties") or ()))
                schema = merged
            else:
                return schema
        raise _invalid("its references do not end")

    def _lookup(self, reference: str) -> Schema:
        target: Schema | None = self._root
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                target = _member(target, name.replace("~1", "/"))
        if target is None:
            raise _invalid(f"it does not contain {reference}")
        return target

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Schema] = schema.get("properties") or {}
        names: Sequence[str] = schema.get("required") or ()
        if not names and depth < _MAX_DEPTH:
            names = tuple(properties)
        return {name: self.value(properties.get(name, True), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        prefix: Sequence[Schema] = schema.get("prefixItems") or ()
        preferred = max(1, len(prefix)) if depth < _MAX_DEPTH else 0
        length = max(min(preferred, schema.get("maxItems", preferred)), schema.get("minItems", 0))
        self._charge(length)
        items = [*prefix, *[schema.get("items", True)] * length][:length]
        return [self.value(item, depth + 1) for item in items]

    def _text(self, schema: Schema) -> str:
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        self._charge(shortest)
        text = " ".join(next(self._words) for _ in range(_WORDS_PER_TEXT))
        while len(text) < shortest:
            text = f"{text} {next(self._words)}"
        if len(text) > longest:
            text = text[:longest]
        examples = [
            schema.get("default"),
            *schema.get("examples", ()),
            _FORMATS.get(schema.get("format", "")),
        ]
        candidates = [example for example in examples if isinstance(example, str)] or [text]
        pattern = schema.get("pattern")
        if not pattern:
            return candidates[0]
        self._charge(_PATTERN_COST)
        for candidate in candidates:
            self._charge(len(candidate))
            if _matches_pattern(pattern, candidate):
                return candidate
        raise invalid(
            f"No text is known that matches {pattern!r}: add an example to the schema, or stub "
            "the reply.",
            "response_format",
        )

    def _charge(self, size: int) -> None:
        self._remaining_size -= size
        if self._remaining_size < 0:
            raise _invalid(f"it asks for a value of more than {_MAX_SIZE} parts")


def _invalid(reason: str) -> ServiceError:
    return invalid(f"Invalid schema: {reason}.", "response_format")


def _matches_pattern(pattern: str, text: str) -> bool:
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise _invalid(f"a pattern is longer than {_MAX_PATTERN_CHARS} characters")
    re.compile(pattern)  # raises for what is not a pattern in any syntax
    validator = _pattern_validator(pattern)
    if validator is None:
        return False
    try:
        validator.validate_python(text)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=128)
def _pattern_validator(pattern: str) -> SchemaValidator | None:
    """Compile a pattern by an engine that takes linear time; None for what it does not support."""
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None


def _member(schema: Schema | None, name: str) -> Schema | None:
    member: Any = None if schema is None else schema.get(name)
    return cast("Schema", member) if isinstance(member, dict) else None


def _type(schema: Schema) -> str:
    types: str | Sequence[str] | None = schema.get("type")
    if types is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    several = [types] if isinstance(types, str) else types
    return next((name for name in several if name != "null"), "null")


def _number(schema: Schema, *, is_integer: bool) -> float:
    step = schema.get("multipleOf", 1 if is_integer else 0)
    minimum = schema.get("minimum", -math.inf)
    maximum = schema.get("maximum", math.inf)
    above = schema.get("exclusiveMinimum", -math.inf)
    below = schema.get("exclusiveMaximum", math.inf)
    value: float = max(min(1, maximum), minimum)
    if value <= above:
        value = above + (step or min(1, (min(maximum, below) - above) / 2))
    if value >= below:
        value = below - (step or min(1, (below - max(minimum, above)) / 2))
    if step:
        value = math.ceil(value / step) * step
        value = value if value <= maximum else value - step
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as JSON")
    return int(value) if is_integer else value


def _merge(first: Schema, second: Schema) -> dict[str, Any]:
    merged = {**first, **second}
    if "properties" in first or "properties" in second:
        merged["properties"] = {**first.get("properties", {}), **second.get("properties", {})}
    if "required" in first or "required" in second:
        names = [*first.get("required", ()), *second.get("required", ())]
        merged["required"] = list(dict.fromkeys(names))
    return merged


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}
