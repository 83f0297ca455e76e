"""Operations on completions."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, TypeAlias

from annotated_types import Ge, Le, MaxLen, MinLen

from tunesmith.operations.base import StreamOperation, operation
from tunesmith.operations.chat_params import ChatCompletionStreamOptionsParam
from tunesmith.operations.param_types import SequenceParam
from tunesmith.types.completions import Completion

Prompt: TypeAlias = (
    str | SequenceParam[str] | SequenceParam[int] | SequenceParam[SequenceParam[int]]
)
"""Text, several texts, token ids, or several lists of token ids."""


@operation("completions.create", "POST", "/completions")
class CreateCompletion(StreamOperation[Completion, Completion]):
    """Complete a prompt.

    Args:
        model: Name of the model.
        prompt: Text, several texts, token ids, or several lists of token ids.
        best_of: Number of completions to generate, of which the `n` most likely are returned.
        echo: Whether to return the prompt before the completion.
        frequency_penalty: Penalty for frequent tokens, -2 to 2.
        logit_bias: Bias by token ID, -100 to 100, added to the token's logit.
        logprobs: Number of most likely tokens to return at each position, 0 to 5.
        max_tokens: Maximum number of tokens; the service's default is 16.
        n: Number of completions of each prompt.
        presence_penalty: Penalty for tokens that are already present, -2 to 2.
        seed: Seed for mostly deterministic sampling.
        stop: Up to 4 texts that end the completion and are not part of it.
        stream_options: Whether a stream ends with the usage.
        suffix: Text that follows the completion.
        temperature: Sampling temperature, 0 to 2.
        top_p: Cumulative probability of the tokens to sample from.
        user: Identifier of the end user, for the service's abuse monitoring.

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
