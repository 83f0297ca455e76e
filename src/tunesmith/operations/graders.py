"""Operations on graders, which compute rewards for a model's output."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Le, Len, MinLen
from pydantic import Field
from typing_extensions import TypedDict

from tunesmith.operations.base import Operation, operation
from tunesmith.types.graders import RunGraderResponse, ValidateGraderResponse


class StringCheckGraderParam(TypedDict):
    """Comparison of two texts: reward 1 if `operation` holds, else 0.

    `input` and `reference` may contain templates such as `{{sample.output_text}}` and
    `{{item.answer}}`. `like` searches for the reference in the input, `ilike` ignoring case.

    Source: https://platform.openai.com/docs/api-reference/graders/string-check
    """

    type: Literal["string_check"]
    name: str
    input: str
    reference: str
    operation: Literal["eq", "ne", "like", "ilike"]


class TextSimilarityGraderParam(TypedDict):
    """Similarity of two texts; both may contain templates.

    Source: https://platform.openai.com/docs/api-reference/graders/text-similarity
    """

    type: Literal["text_similarity"]
    name: str
    input: str
    reference: str
    evaluation_metric: Literal[
        "cosine",
        "fuzzy_match",
        "bleu",
        "gleu",
        "meteor",
        "rouge_1",
        "rouge_2",
        "rouge_3",
        "rouge_4",
        "rouge_5",
        "rouge_l",
    ]


class PythonGraderParam(TypedDict):
    """Python `source` with a function `grade(sample, item)` that returns the reward.

    Source: https://platform.openai.com/docs/api-reference/graders/python
    """

    type: Literal["python"]
    name: str
    source: str
    image_tag: NotRequired[str]


class GraderInputParam(TypedDict):
    """Message to the grading model: text with templates, or content parts."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
    type: NotRequired[Literal["message"]]


class GraderSamplingParams(TypedDict, total=False):
    """Sampling of the grading model. `max_completions_tokens` is the API's spelling."""

    max_completions_tokens: Annotated[int, Ge(1)] | None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
    seed: int | None
    temperature: Annotated[float, Ge(0), Le(2)] | None
    top_p: Annotated[float, Ge(0), Le(1)] | None


class ScoreModelGraderParam(TypedDict):
    """Score given by a model, within `range` (0 to 1 by default).

    Source: https://platform.openai.com/docs/api-reference/graders/score-model
    """

    type: Literal["score_model"]
    name: str
    model: str
    input: Annotated[Sequence[GraderInputParam], MinLen(1)]
    range: NotRequired[Annotated[Sequence[float], Len(2, 2)]]
    sampling_params: NotRequired[GraderSamplingParams]


class LabelModelGraderParam(TypedDict):
    """Label chosen by a model: reward 1 for `passing_labels`, else 0.

    Only valid as part of a multi-grader.

    Source: https://platform.openai.com/docs/api-reference/graders/label-model
    """

    type: Literal["label_model"]
    name: str
    model: str
    input: Annotated[Sequence[GraderInputParam], MinLen(1)]
    labels: Sequence[str]
    passing_labels: Sequence[str]


SingleGraderParam = Annotated[
    StringCheckGraderParam
    | TextSimilarityGraderParam
    | PythonGraderParam
    | ScoreModelGraderParam
    | LabelModelGraderParam,
    Field(discriminator="type"),
]
"""Grader that can be part of a multi-grader."""


class MultiGraderParam(TypedDict):
    """Combination of graders by a formula over their names, such as `0.3 * style + 0.7 * truth`.

    Source: https://platform.openai.com/docs/api-reference/graders/multi
    """

    type: Literal["multi"]
    name: str
    graders: Mapping[str, SingleGraderParam]
    calculate_output: str


GraderParam = Annotated[
    StringCheckGraderParam
    | TextSimilarityGraderParam
    | PythonGraderParam
    | ScoreModelGraderParam
    | MultiGraderParam,
    Field(discriminator="type"),
]
"""Grader, which computes a reward for a model's output."""


@operation("fine_tuning.graders.run", "POST", "/fine_tuning/alpha/graders/run")
class RunGrader(Operation[RunGraderResponse]):
    """Run a grader on one output of a model.

    Args:
        grader: The grader, such as `{"type": "string_check", …}`.
        model_sample: The model's output, available to templates as `sample`, parsed if it is JSON.
        item: The line of the dataset, available to templates as `item`.

    Source: https://platform.openai.com/docs/api-reference/graders/run
    """

    _: KW_ONLY
    grader: GraderParam
    model_sample: str
    item: Mapping[str, Any] | None = None


@operation("fine_tuning.graders.validate", "POST", "/fine_tuning/alpha/graders/validate")
class ValidateGrader(Operation[ValidateGraderResponse]):
    """Validate a grader.

    Args:
        grader: The grader, such as `{"type": "string_check", …}`.

    Source: https://platform.openai.com/docs/api-reference/graders/validate
    """

    _: KW_ONLY
    grader: GraderParam
