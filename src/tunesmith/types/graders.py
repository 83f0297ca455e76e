"""Results of graders."""

from typing import Any

from tunesmith.types.base import APIModel, APIResponse


class RunGraderMetadata(APIModel):
    """Details of how a reward was computed."""

    name: str | None = None
    type: str | None = None
    errors: dict[str, Any] | None = None
    execution_time: float | None = None
    sampled_model_name: str | None = None
    scores: dict[str, Any] | None = None
    token_usage: int | None = None


class RunGraderResponse(APIResponse):
    """Reward computed by a grader.

    Source: https://platform.openai.com/docs/api-reference/graders/run
    """

    reward: float
    metadata: RunGraderMetadata | None = None
    sub_rewards: dict[str, Any] | None = None
    model_grader_token_usage_per_model: dict[str, Any] | None = None


class ValidateGraderResponse(APIResponse):
    """Validated grader.

    Source: https://platform.openai.com/docs/api-reference/graders/validate
    """

    grader: dict[str, Any] | None = None
