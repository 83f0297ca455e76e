"""The Graders API: scores of a model's answers."""

from typing import Any, cast

from tunesmith.operations.graders import RunGrader, ValidateGrader
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.handlers import handles
from tunesmith.service.grading import (
    Grader,
    require_supported,
    score_parts,
    total_score,
    validate,
)
from tunesmith.types.graders import (
    RunGraderMetadata,
    RunGraderResponse,
    ValidateGraderResponse,
)

__all__ = ["Graders"]

_ERROR_FLAGS = (
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


class Graders:
    """Graders that compare texts; graders that need a model or code are refused.

    Args:
        context: Dependencies shared by all parts of the service.
    """

    def __init__(self, context: ServiceContext) -> None:
        self._clock = context.clock

    @handles(RunGrader)
    async def run(self, operation: RunGrader) -> RunGraderResponse:
        """Score one answer."""
        grader = cast("Grader", operation.grader)
        sample, item = operation.model_sample, operation.item or {}
        scores = await self._clock.run_in_thread(lambda: score_parts(grader, sample, item))
        return RunGraderResponse(
            reward=total_score(grader, scores),
            metadata=RunGraderMetadata(
                name=grader["name"],
                type=grader["type"],
                errors=cast("dict[str, Any]", dict.fromkeys(_ERROR_FLAGS, False)),
                execution_time=0.0,  # no virtual time passes
                scores=scores,
                token_usage=None,
                sampled_model_name=None,
            ),
            sub_rewards=scores if grader["type"] == "multi" else {},
            model_grader_token_usage_per_model={},
        )

    @handles(ValidateGrader)
    async def validate(self, operation: ValidateGrader) -> ValidateGraderResponse:
        """Validate a grader without running it."""
        grader = cast("dict[str, Any]", operation.grader)
        await self._clock.run_in_thread(lambda: validate(grader))
        return ValidateGraderResponse(grader=grader)

    async def check(self, grader: Grader) -> None:
        """Validate that this service can score with a grader.

        Raises:
            ServiceError: The grader is invalid, or needs a model or code.
        """
        await self._clock.run_in_thread(lambda: require_supported(grader))
