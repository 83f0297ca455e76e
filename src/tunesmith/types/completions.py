"""How a model went on from a prompt."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from tunesmith.types.base import APIModel, APIResponse
from tunesmith.types.fields import GeneratedObject, NullableStr

__all__ = [
    "Completion",
    "CompletionChoice",
    "CompletionTokensDetails",
    "CompletionUsage",
    "Logprobs",
    "PromptTokensDetails",
]

_Count = Annotated[int, BeforeValidator(lambda value: 0 if value is None else value)]


class CompletionTokensDetails(APIModel):
    """What the generated tokens were for."""

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None


class PromptTokensDetails(APIModel):
    """What the prompt's tokens were, and how many of them a cache held."""

    audio_tokens: int | None = None
    cache_write_tokens: int | None = None
    cached_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class CompletionUsage(APIModel):
    """How many tokens a call took; what a server leaves out counts as none."""

    completion_tokens: _Count = 0
    prompt_tokens: _Count = 0
    total_tokens: _Count = 0
    completion_tokens_details: CompletionTokensDetails | None = None
    prompt_tokens_details: PromptTokensDetails | None = None


class Logprobs(APIModel):
    """How probable the tokens were: four lists with one entry a token.

    With `echo` the first token has nothing before it, so its probabilities are None.
    """

    text_offset: list[int] | None = None
    """Where each token begins, in characters from the beginning of the prompt."""
    token_logprobs: list[float | None] | None = None
    tokens: list[str] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class CompletionChoice(APIModel):
    """One way to go on."""

    finish_reason: Literal["stop", "length", "content_filter"] | str | None = None
    """None in a stream, until the choice ends."""
    index: int = 0
    logprobs: Logprobs | None = None
    text: NullableStr = ""


class Completion(GeneratedObject, APIResponse):
    """How a model went on from a prompt; in a stream, a piece of it.

    Source: https://platform.openai.com/docs/api-reference/completions/object
    """

    choices: list[CompletionChoice]
    object: str = "text_completion"
    usage: CompletionUsage | None = None
