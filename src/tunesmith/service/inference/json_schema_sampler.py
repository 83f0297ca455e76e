"""Values that fit a JSON schema: what structured answers and tool calls are made of.

The rules are few, so that a test can tell beforehand what comes: of an object its required
properties (all, if none is required), of an array one item, the first of several kinds or values
that is not null, the smallest number from 1 on that is allowed, `true`, and for texts the next
three words of what the engine said.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, cast

from tunesmith.service.core.errors import ServiceError, invalid

__all__ = ["sample_value", "word_cycle"]

Schema = Mapping[str, Any]

_WORDS_A_TEXT = 3
_MAX_SIZE = 100_000
"""A value has no more parts and characters than this: a schema may ask for a billion."""
_MAX_DEPTH = 6
"""From this depth on, optional parts are left out, so that recursive schemas come to an end."""
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
    """Go through the words of a text, again and again."""
    return cycle(re.findall(r"\w+", text) or ["text"])


def sample_value(schema: Schema, words: Iterator[str]) -> Any:
    """Make a value that fits a schema.

    Args:
        schema: A JSON schema; its references point into itself (`#/$defs/…`).
        words: Where texts take their words from.

    Raises:
        ServiceError: It is no schema, or asks for what the rules do not make, such as a text that
            matches a pattern and has no example.
    """
    maker = _SchemaSampler(schema, words)
    try:
        return maker.value(schema, 0)
    except RecursionError:
        raise _invalid("what it requires has no end") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, re.error):
        # Whatever stands where a list, a number or a schema should be: there are too many ways.
        raise _invalid(f"this part is no JSON schema: {maker.part}") from None


class _SchemaSampler:
    def __init__(self, root: Schema, words: Iterator[str]) -> None:
        self._root = root
        self._words = words
        self._room = _MAX_SIZE
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
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return next((each for each in schema["enum"] if each is not None), None)
        choices: Sequence[Schema] = schema.get("anyOf") or schema.get("oneOf") or ()
        if choices:
            last_resort = depth < _MAX_DEPTH  # null, until things get too deep
            resolved = [self._resolved(each) for each in choices]
            best = min(resolved, key=lambda each: (each.get("type") == "null") == last_resort)
            return self.value(best, depth)
        makers: dict[str, Callable[[], Any]] = {
            "array": lambda: self._array(schema, depth),
            "boolean": lambda: True,
            "integer": lambda: _number(schema, whole=True),
            "null": lambda: None,
            "number": lambda: _number(schema, whole=False),
            "object": lambda: self._object(schema, depth),
            "string": lambda: self._text(schema),
        }
        make = makers.get(_kind(schema), makers["string"])
        return make()

    def _resolved(self, schema: Schema) -> Schema:
        for _ in range(_MAX_DEPTH):
            if "$ref" in schema:
                schema = {**self._target(schema["$ref"]), **_without(schema, "$ref")}
            elif "allOf" in schema:
                merged = dict(_without(schema, "allOf"))
                for part in schema["allOf"]:
                    merged = _merged(merged, self._resolved(part))
                schema = merged
            else:
                return schema
        raise _invalid("its references lead nowhere")

    def _target(self, reference: str) -> Schema:
        found: Schema | None = self._root
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                found = _member(found, name.replace("~1", "/"))
        if found is None:
            raise _invalid(f"{reference} is not in it")
        return found

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Schema] = schema.get("properties") or {}
        names: Sequence[str] = schema.get("required") or ()
        if not names and depth < _MAX_DEPTH:
            names = tuple(properties)
        return {name: self.value(properties.get(name, True), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        first: Sequence[Schema] = schema.get("prefixItems") or ()
        usual = max(1, len(first)) if depth < _MAX_DEPTH else 0
        length = max(min(usual, schema.get("maxItems", usual)), schema.get("minItems", 0))
        self._charge(length)
        kinds = [*first, *[schema.get("items", True)] * length][:length]
        return [self.value(kind, depth + 1) for kind in kinds]

    def _text(self, schema: Schema) -> str:
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        self._charge(shortest)
        text = " ".join(next(self._words) for _ in range(_WORDS_A_TEXT))
        while len(text) < shortest:
            text = f"{text} {next(self._words)}"
        if len(text) > longest:
            text = text[:longest]
        named = [
            schema.get("default"),
            *schema.get("examples", ()),
            _FORMATS.get(schema.get("format", "")),
        ]
        candidates = [each for each in named if isinstance(each, str)] or [text]
        for each in candidates:
            if re.search(schema.get("pattern", ""), each):
                return each
        raise invalid(
            f"No text is known that matches {schema['pattern']!r}: give the schema an example, or "
            "the service a reply.",
            "response_format",
        )

    def _charge(self, room: int) -> None:
        self._room -= room
        if self._room < 0:
            raise _invalid(f"it asks for a value of more than {_MAX_SIZE} parts")


def _invalid(why: str) -> ServiceError:
    return invalid(f"Invalid schema: {why}.", "response_format")


def _member(schema: Schema | None, name: str) -> Schema | None:
    member: Any = None if schema is None else schema.get(name)
    return cast("Schema", member) if isinstance(member, dict) else None


def _kind(schema: Schema) -> str:
    kinds: str | Sequence[str] | None = schema.get("type")
    if kinds is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    several = [kinds] if isinstance(kinds, str) else kinds
    return next((kind for kind in several if kind != "null"), "null")


def _number(schema: Schema, *, whole: bool) -> float:
    step = schema.get("multipleOf", 1 if whole else 0)
    least = schema.get("minimum", -math.inf)
    most = schema.get("maximum", math.inf)
    above, below = (
        schema.get("exclusiveMinimum", -math.inf),
        schema.get("exclusiveMaximum", math.inf),
    )
    value: float = max(min(1, most), least)
    if value <= above:
        value = above + (step or min(1, (min(most, below) - above) / 2))
    if value >= below:
        value = below - (step or min(1, (below - max(least, above)) / 2))
    if step:
        value = math.ceil(value / step) * step
        value = value if value <= most else value - step
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as JSON")
    return int(value) if whole else value


def _merged(one: Schema, other: Schema) -> dict[str, Any]:
    merged = {**one, **other}
    if "properties" in one or "properties" in other:
        merged["properties"] = {**one.get("properties", {}), **other.get("properties", {})}
    if "required" in one or "required" in other:
        names = [*one.get("required", ()), *other.get("required", ())]
        merged["required"] = list(dict.fromkeys(names))
    return merged


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}
