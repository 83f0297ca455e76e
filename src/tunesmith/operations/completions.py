"""What can be asked of a model that goes on from a prompt."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, TypeAlias

from annotated_types import Ge, Le, MaxLen, MinLen

from tunesmith.operations.base import StreamOperation, operation
from tunesmith.operations.chat_params import ChatCompletionStreamOptionsParam
from tunesmith.operations.lists import SequenceParam
from tunesmith.types.completions import Completion

Prompt: TypeAlias = (
    str | SequenceParam[str] | SequenceParam[int] | SequenceParam[SequenceParam[int]]
)
"""Text, several texts, token ids, or several lists of token ids."""


@operation("completions.create", "POST", "/completions")
class CreateCompletion(StreamOperation[Completion, Completion]):
    """Let a model go on from a prompt.

    Args:
        model: The model's name.
        prompt: Text, several texts, token ids, or several lists of token ids.
        best_of: How many completions to make, of which the `n` most probable are answered.
        echo: Whether the answer begins with the prompt.
        frequency_penalty: From -2 to 2; above 0 makes tokens rarer the more often they came.
        logit_bias: From token ids to -100 … 100, added to the token's logit.
        logprobs: How many of the most probable tokens to report at each place, 0 to 5.
        max_tokens: At most so many tokens; the service's default is 16.
        n: How many completions to make of each prompt.
        presence_penalty: From -2 to 2; above 0 makes tokens rarer once they came.
        seed: Makes sampling repeatable, as far as the service can.
        stop: Up to 4 texts at which to end; they are not part of the answer.
        stream_options: Whether a stream ends with the usage.
        suffix: Text that comes after the completion.
        temperature: From 0, always the most probable token, to 2.
        top_p: Sample from the most probable tokens that together have this probability.
        user: A name of the end user, for the service's abuse monitoring.

    Source: https://platform.openai.com/docs/api-reference/completions/create
    """

    _: KW_ONLY
    model: str
    prompt: Prompt | None = None
    best_of: Annotated[int, Ge(0), Le(20)] | None = None
    echo: bool | None = None
    frequency_penalty: Annotated[float, Ge(-2), Le(2)] | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: Annotated[int, Ge(0), Le(5)] | None = None
    max_tokens: Annotated[int, Ge(0)] | None = None
    n: Annotated[int, Ge(1), Le(128)] | None = None
    presence_penalty: Annotated[float, Ge(-2), Le(2)] | None = None
    seed: int | None = None
    stop: str | Annotated[SequenceParam[str], MinLen(1), MaxLen(4)] | None = None
    stream_options: ChatCompletionStreamOptionsParam | None = None
    suffix: str | None = None
    temperature: Annotated[float, Ge(0), Le(2)] | None = None
    top_p: Annotated[float, Ge(0), Le(1)] | None = None
    user: str | None = None
