"""The room of graders, which score a model's answers."""

import ast
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from tunesmith.operations.graders import RunGrader, ValidateGrader
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.core.models import Models
from tunesmith.service.fine_tuning.expressions import (
    ExpressionError,
    UndefinedExpressionError,
    evaluate,
)
from tunesmith.service.fine_tuning.text_similarity import MEASURES, cosine
from tunesmith.types.graders import (
    RunGraderMetadata,
    RunGraderResponse,
    ValidateGraderResponse,
)

__all__ = ["Graders"]

Grader = Mapping[str, Any]

_TEMPLATE = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
_EMBEDDING_MODEL = "text-embedding-3-large"
_DIMENSIONS = 256


class Graders:
    """Scores answers by comparing texts; what would need another model or code is refused.

    Args:
        models: Give the directions of texts, for the cosine.
    """

    def __init__(self, models: Models) -> None:
        self._models = models

    async def run(self, operation: RunGrader) -> RunGraderResponse:
        """Score one answer."""
        grader = cast("Grader", operation.grader)
        item = operation.item or {}
        scores = self._scores(grader, operation.model_sample, item)
        return RunGraderResponse(
            reward=self._reward(grader, scores),
            metadata=RunGraderMetadata(
                name=grader["name"],
                type=grader["type"],
                errors=cast("dict[str, Any]", dict.fromkeys(_ERRORS, False)),
                execution_time=0.0,  # virtual seconds, which do not pass meanwhile
                scores=scores,
                token_usage=None,
                sampled_model_name=None,
            ),
            sub_rewards=scores if grader["type"] == "multi" else {},
            model_grader_token_usage_per_model={},
        )

    async def validate(self, operation: ValidateGrader) -> ValidateGraderResponse:
        """Check a grader; code is read, never run."""
        grader = cast("dict[str, Any]", operation.grader)
        _check(grader)
        return ValidateGraderResponse(grader=grader)

    def check(self, grader: Grader) -> None:
        """Refuse a grader that this service cannot score with.

        Raises:
            ServiceError: It is wrong, or needs a model or code to run.
        """
        _check(grader)
        for part in _parts(grader).values():
            _reject_unsupported(part)

    def score(self, grader: Grader, sample: str, item: Mapping[str, Any]) -> float:
        """Give the reward of one answer.

        Args:
            grader: The grader.
            sample: The answer's text.
            item: The line of the data set that it answers.

        Raises:
            ServiceError: The grader cannot score.
        """
        return self._reward(grader, self._scores(grader, sample, item))

    def _scores(self, grader: Grader, sample: str, item: Mapping[str, Any]) -> dict[str, float]:
        known = {"sample": _sample(sample), "item": item}
        return {name: self._score_one(part, known) for name, part in _parts(grader).items()}

    def _reward(self, grader: Grader, scores: Mapping[str, float]) -> float:
        if grader["type"] != "multi":
            return scores[grader["name"]]
        try:
            return evaluate(grader["calculate_output"], scores)
        except ExpressionError as error:
            raise invalid(str(error), "grader.calculate_output") from None

    def _score_one(self, grader: Grader, known: Mapping[str, Any]) -> float:
        _reject_unsupported(grader)
        text = _render_template(grader["input"], known)
        reference = _render_template(grader["reference"], known)
        if grader["type"] == "string_check":
            return float(_compare(grader["operation"], text, reference))
        metric = grader["evaluation_metric"]
        if metric == "cosine":
            model = self._models.resolve(_EMBEDDING_MODEL)
            one = model.embed(text, dimensions=_DIMENSIONS)
            return cosine(one, model.embed(reference, dimensions=_DIMENSIONS))
        return MEASURES[metric](text, reference)


_ERRORS = (
    "formula_parse_error",
    "invalid_variable_error",
    "model_grader_parse_error",
    "model_grader_refusal_error",
    "model_grader_server_error",
    "other_error",
    "python_grader_runtime_error",
    "python_grader_server_error",
    "sample_parse_error",
    "truncated_observation_error",
    "unresponsive_reward_error",
)


def _parts(grader: Grader) -> dict[str, Grader]:
    if grader["type"] == "multi":
        return dict(grader["graders"])
    return {grader["name"]: grader}


def _check(grader: Grader) -> None:
    if grader["type"] == "multi":
        try:
            with suppress(UndefinedExpressionError):
                evaluate(grader["calculate_output"], dict.fromkeys(grader["graders"], 0.5))
        except ExpressionError as error:
            raise invalid(f"Invalid formula: {error}", "grader.calculate_output") from None
    for part in _parts(grader).values():
        if part["type"] == "python":
            _check_source(part["source"])
        for key in ("input", "reference"):
            if isinstance(part.get(key), str):
                _check_template(part[key], key)


def _check_source(source: str) -> None:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise invalid(f"The source is not Python: {error}", "grader.source") from None
    if not any(isinstance(node, ast.FunctionDef) and node.name == "grade" for node in tree.body):
        raise invalid("The source has no function grade(sample, item)", "grader.source")


def _check_template(template: str, key: str) -> None:
    for path in _TEMPLATE.findall(template):
        if path.split(".")[0] not in {"sample", "item"}:
            raise invalid(f"Templates know sample and item, not {path!r}", f"grader.{key}")


def _reject_unsupported(grader: Grader) -> None:
    kind = grader["type"]
    if kind == "python":
        raise _refused("This service does not run Python code, so python graders cannot score.")
    if kind not in {"string_check", "text_similarity"}:
        raise _refused(f"This service has no model to judge with, so {kind} graders cannot score.")
    metric = grader.get("evaluation_metric", "cosine")
    if metric not in MEASURES and metric != "cosine":
        raise _refused(
            f"This service does not measure {metric!r}: take one of cosine, {', '.join(MEASURES)}."
        )


def _refused(text: str) -> ServiceError:
    return invalid(text, "grader", "grader_not_supported")


def _sample(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    return {"output_text": text, "output_json": parsed}


def _render_template(template: str, known: Mapping[str, Any]) -> str:
    """Put values into a template; a name that leads nowhere becomes an empty text."""

    def value(found: re.Match[str]) -> str:
        at: Any = known
        for name in found[1].split("."):
            at = cast("Mapping[str, Any]", at).get(name) if isinstance(at, Mapping) else None
        if at is None:
            return ""
        return at if isinstance(at, str) else json.dumps(at, ensure_ascii=False)

    return _TEMPLATE.sub(value, template)


def _compare(operation: str, text: str, reference: str) -> bool:
    if operation == "eq":
        return text == reference
    if operation == "ne":
        return text != reference
    if operation == "like":
        return reference in text
    return reference.casefold() in text.casefold()
