"""JSON as services write it: with byte order marks, lone surrogates and values of other types."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from tunesmith._json_types import is_object

__all__ = [
    "join_surrogates",
    "parse_json",
    "problem_path",
    "replace_surrogates",
    "text_content",
    "validate_json",
    "validate_leniently",
]

M = TypeVar("M", bound=BaseModel)
Path = tuple[str | int, ...]

_BOM = b"\xef\xbb\xbf"

_MAX_DEPTH = 200
"""Deeper values are kept as JSON text: pydantic serializes at most 255 levels."""

_TEXT_PARTS = frozenset({"text", "output_text"})

_POSITIONAL = frozenset({"Embedding"})
"""Classes of items that callers find by their position, so that none may be missing."""

_JOINED = frozenset({"ChunkChoice"})
"""Classes of items whose pieces streams join, so that none may be kept raw."""


def parse_json(content: bytes) -> Any:
    """Parse JSON, including byte order marks and lone surrogates.

    Raises:
        ValueError: The content is not JSON, or nested too deeply.
    """
    try:
        return from_json(content)
    except ValueError:
        # Without a mark, as RFC 8259 demands; some servers send UTF-16, which zeros reveal.
        text = content.decode(json.detect_encoding(content), "replace")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def join_surrogates(text: str) -> str:
    """Join the halves of surrogate pairs, and replace lone halves by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def replace_surrogates(value: Any) -> Any:
    """Return a JSON value without lone surrogates."""
    return json.loads(join_surrogates(json.dumps(value, ensure_ascii=False)))


def problem_path(problem: ErrorDetails, parameters: Mapping[str, Any]) -> Path:
    """Return where an invalid parameter is, such as `("messages", 0, "content")`.

    Args:
        problem: A problem that pydantic found. It adds the members of unions to the location, such
            as `list[str]` or the role of a message.
        parameters: The parameters.
    """
    path = _existing_path(parameters, problem["loc"])
    if problem["type"] == "missing" or not path:
        return (*path, problem["loc"][-1])
    if problem["type"] == "union_tag_not_found":
        return (*path, problem.get("ctx", {})["discriminator"].strip("'"))
    return path


def validate_json(kind: type[M], content: bytes, *, keep_surrogates: bool = False) -> M:
    """Parse JSON as a model; optional fields of other types keep their raw value.

    Values nested more than 200 deep are kept as JSON text, so that the model can be serialized.

    Args:
        kind: The model.
        content: The JSON.
        keep_surrogates: Whether lone surrogates are kept, to be joined with those of other events.

    Raises:
        ValidationError: The content is not JSON, or a required field is missing or invalid.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as strict_error:
        try:
            value = _limit_depth(parse_json(content))
            if not keep_surrogates:
                value = replace_surrogates(value)
        except (RecursionError, ValueError):
            raise strict_error from None
        return validate_leniently(kind, value)


def _limit_depth(value: Any, depth: int = 0) -> Any:
    if depth == _MAX_DEPTH and isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _limit_depth(field, depth + 1) for name, field in fields.items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)  # type: ignore[redundant-cast] # not to pyright
        return [_limit_depth(item, depth + 1) for item in items]
    return value


def validate_leniently(kind: type[M], value: Any) -> M:
    """Validate a parsed value as a model; optional fields of other types keep their raw value.

    A response that was paid for must not be lost to a field that the caller may never read. Invalid
    fields are removed, innermost first, until the rest is valid, and then put back unvalidated.

    Args:
        kind: The model.
        value: The value, as parsed from JSON.

    Raises:
        ValidationError: A required field is missing or invalid.
    """
    raw = value
    removed: set[Path] = set()
    is_repaired = False
    while True:
        try:
            model = kind.model_validate(value)
        except ValidationError as error:
            if not is_repaired:
                raw = value = _repair_lists(raw, error)
                is_repaired = True
                continue
            paths = {_field_path(value, problem["loc"]) for problem in error.errors()}
            depth = max(map(len, paths))
            if not depth:
                raise
            if value is raw:
                value = deepcopy(raw)
            # Errors of the other members of a union are at a lower depth.
            for path in (path for path in paths if len(path) == depth):
                _look_up(value, path[:-1]).pop(path[-1])
                removed.add(path)
        else:
            _restore(model, raw, removed)
            return model


def _repair_lists(value: Any, error: ValidationError) -> Any:
    """Return a value whose lists of objects hold no nulls, or only objects, and are lists.

    Servers send null for what they left out, and a single object instead of a list of it.
    """
    value = deepcopy(value)
    # A set, because each member of a union has an error of its own.
    problems = {
        (_existing_path(value, problem["loc"]), problem["type"], name in _JOINED)
        for problem in error.errors()
        if (name := problem.get("ctx", {}).get("class_name")) not in _POSITIONAL
    }
    # The last items first: indexes stay valid.
    for path, kind, is_joined in sorted(problems, reverse=True):
        if not path:
            continue
        container: Any = _look_up(value, path[:-1])
        last = path[-1]
        if kind == "model_type" and isinstance(last, int):
            if is_joined or container[last] is None:
                del container[last]
        elif kind == "list_type" and isinstance(container[last], dict):
            container[last] = [container[last]]
    return value


def _field_path(value: Any, location: Sequence[str | int]) -> Path:
    """Return the path of the innermost existing field at the location of an error."""
    path = list(_existing_path(value, location))
    while path and isinstance(path[-1], int):
        path.pop()
    return tuple(path)


def _existing_path(value: Any, location: Sequence[str | int]) -> Path:
    """Return the path of the innermost existing value at the location of an error."""
    path: list[str | int] = []
    for part in location:
        try:
            value = value[part]
        except (LookupError, TypeError):
            continue  # the name of a union's member, or a missing field
        path.append(part)
    return tuple(path)


def _look_up(value: Any, path: Path) -> Any:
    for part in path:
        value = getattr(value, str(part)) if isinstance(value, BaseModel) else value[part]
    return value


def _restore(model: BaseModel, raw: Any, removed: set[Path]) -> None:
    for path in removed:
        value = _look_up(raw, path)
        if value is None or any(path[:length] in removed for length in range(len(path))):
            continue  # null means the default; an outer field is restored as a whole
        *parents, name = path
        target: Any = _look_up(model, tuple(parents))
        if isinstance(target, BaseModel):
            vars(target)[str(name)] = value
            target.__pydantic_fields_set__.add(str(name))
        else:
            target[name] = value


def text_content(content: object) -> str | None:
    """Return the text of a message's content, which some models send in parts."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    # Parts of other types are the model's reasoning.
    parts = (part for part in cast("list[object]", content) if is_object(part))
    return "".join(str(p.get("text") or "") for p in parts if p.get("type") in _TEXT_PARTS)
