"""Graders of the API, which score texts; plain data and pure functions, for any process."""

import ast
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias, cast

from pydantic_core import from_json

from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.grading.embedding import embed
from tunesmith.service.grading.expressions import (
    ExpressionError,
    UndefinedExpressionError,
    evaluate,
)
from tunesmith.service.grading.text_similarity import MEASURES, cosine

__all__ = ["Grader", "require_supported", "score", "score_parts", "total_score", "validate"]

Grader: TypeAlias = Mapping[str, Any]

_TEMPLATE = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
_DIMENSIONS = 256
_MAX_GRADERS = 32
_MAX_SOURCE_BYTES = 256 * 1024
_MAX_TEXT_CHARACTERS = 1_000_000
_MAX_COMPARED_CHARACTERS = 50_000


def score(grader: Grader, sample: str, item: Mapping[str, Any]) -> float:
    """Return the reward of one answer.

    Args:
        grader: The grader.
        sample: The answer's text.
        item: The row of the data set.

    Raises:
        ServiceError: The grader cannot score.

    Example:
        ```python
        from tunesmith.service.grading import score

        grader = {
            "type": "string_check",
            "name": "exact",
            "input": "{{sample.output_text}}",
            "reference": "{{item.answer}}",
            "operation": "eq",
        }
        print(score(grader, "Yes", {"answer": "Yes"}))
        ```
    """
    return total_score(grader, score_parts(grader, sample, item))


def score_parts(grader: Grader, sample: str, item: Mapping[str, Any]) -> dict[str, float]:
    """Return the score of each part of a grader by name; a simple grader is its only part.

    Raises:
        ServiceError: A part cannot score.
    """
    values = {"sample": _sample_values(sample), "item": item}
    return {name: _score_part(part, values) for name, part in _parts(grader).items()}


def total_score(grader: Grader, scores: Mapping[str, float]) -> float:
    """Return the reward that follows from the scores of the parts.

    Raises:
        ServiceError: The formula cannot be computed.
    """
    if grader["type"] != "multi":
        return scores[grader["name"]]
    try:
        return evaluate(grader["calculate_output"], scores)
    except ExpressionError as error:
        raise invalid(str(error), "grader.calculate_output") from None


def require_supported(grader: Grader) -> None:
    """Validate a grader, and that this service can score with it.

    Raises:
        ServiceError: The grader is invalid, or needs a model or code.
    """
    validate(grader)
    for part in _parts(grader).values():
        _reject_unsupported(part)


def _score_part(grader: Grader, values: Mapping[str, Any]) -> float:
    _reject_unsupported(grader)
    text = _render_template(grader, "input", values)
    reference = _render_template(grader, "reference", values)
    if grader["type"] == "string_check":
        return float(_compare(grader["operation"], text, reference))
    metric = grader["evaluation_metric"]
    for key, value in (("input", text), ("reference", reference)):
        _check_length(value, key, _MAX_COMPARED_CHARACTERS)
    if metric == "cosine":
        return cosine(embed(text, _DIMENSIONS), embed(reference, _DIMENSIONS))
    return MEASURES[metric](text, reference)


def _parts(grader: Grader) -> dict[str, Grader]:
    if grader["type"] == "multi":
        graders = grader["graders"]
        if len(graders) > _MAX_GRADERS:
            message = f"A multi grader may have at most {_MAX_GRADERS} graders, not {len(graders)}."
            raise invalid(message, "grader.graders")
        return dict(graders)
    return {grader["name"]: grader}


def validate(grader: Grader) -> None:
    """Validate a grader without running it.

    Raises:
        ServiceError: The grader is invalid.
    """
    if grader["type"] == "multi":
        try:
            with suppress(UndefinedExpressionError):
                evaluate(grader["calculate_output"], dict.fromkeys(grader["graders"], 0.5))
        except ExpressionError as error:
            raise invalid(f"Invalid formula: {error}", "grader.calculate_output") from None
    for part in _parts(grader).values():
        if part["type"] == "python":
            _validate_source(part["source"])
        for key in ("input", "reference"):
            if isinstance(part.get(key), str):
                _validate_template(part[key], key)


def _validate_source(source: str) -> None:
    if len(source.encode("utf-8", "surrogatepass")) > _MAX_SOURCE_BYTES:
        message = f"The source may have at most {_MAX_SOURCE_BYTES} bytes."
        raise invalid(message, "grader.source")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise invalid(f"The source is not Python: {error}", "grader.source") from None
    if not any(isinstance(node, ast.FunctionDef) and node.name == "grade" for node in tree.body):
        raise invalid("The source has no function grade(sample, item)", "grader.source")


def _validate_template(template: str, key: str) -> None:
    for path in _TEMPLATE.findall(template):
        if path.split(".")[0] not in {"sample", "item"}:
            raise invalid(f"Templates can use sample and item, not {path!r}", f"grader.{key}")


def _reject_unsupported(grader: Grader) -> None:
    kind = grader["type"]
    if kind == "python":
        raise _unsupported("This service does not run Python code, so python graders cannot score.")
    if kind not in {"string_check", "text_similarity"}:
        raise _unsupported(f"This service has no judge model, so {kind} graders cannot score.")
    metric = grader.get("evaluation_metric", "cosine")
    if metric not in MEASURES and metric != "cosine":
        raise _unsupported(
            f"The metric {metric!r} is not supported: use one of cosine, {', '.join(MEASURES)}."
        )


def _unsupported(message: str) -> ServiceError:
    return invalid(message, "grader", "grader_not_supported")


def _sample_values(text: str) -> dict[str, Any]:
    try:
        parsed = from_json(text)
    except ValueError:  # not JSON, or nested too deeply
        parsed = None
    return {"output_text": text, "output_json": parsed}


def _render_template(grader: Grader, key: str, values: Mapping[str, Any]) -> str:
    """Replace the names in a template; missing values become empty."""
    template: str = grader[key]
    n_characters = len(template)

    def render(match: re.Match[str]) -> str:
        value: Any = values
        for name in match[1].split("."):
            if not isinstance(value, Mapping):
                return ""
            value = cast("Mapping[str, Any]", value).get(name)
        if value is None:
            return ""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        nonlocal n_characters
        n_characters += len(text)
        if n_characters > _MAX_TEXT_CHARACTERS:
            raise _too_long(key, _MAX_TEXT_CHARACTERS)
        return text

    _check_length(template, key, _MAX_TEXT_CHARACTERS)
    return _TEMPLATE.sub(render, template)


def _check_length(text: str, key: str, maximum: int) -> None:
    if len(text) > maximum:
        raise _too_long(key, maximum)


def _too_long(key: str, maximum: int) -> ServiceError:
    message = f"The text may have at most {maximum} characters."
    return invalid(message, f"grader.{key}", "string_above_max_length")


def _compare(operation: str, text: str, reference: str) -> bool:
    if operation == "eq":
        return text == reference
    if operation == "ne":
        return text != reference
    if operation == "like":
        return reference in text
    return reference.casefold() in text.casefold()
