"""Completions of prompts."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from tunesmith.types.base import APIModel, APIResponse
from tunesmith.types.fields import GeneratedObject, Index, NullableStr

_Count = Annotated[int, BeforeValidator(lambda value: 0 if value is None else value)]


class CompletionTokensDetails(APIModel):
    """Breakdown of the completion tokens."""

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None


class PromptTokensDetails(APIModel):
    """Breakdown of the prompt tokens."""

    audio_tokens: int | None = None
    cache_write_tokens: int | None = None
    cached_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class CompletionUsage(APIModel):
    """Number of tokens used by a call; 0 for counts that the server omits."""

    _sdk_names: ClassVar[tuple[str, ...]] = ("completion_usage", "result")

    completion_tokens: _Count = 0
    prompt_tokens: _Count = 0
    total_tokens: _Count = 0
    completion_tokens_details: CompletionTokensDetails | None = None
    prompt_tokens_details: PromptTokensDetails | None = None


class Logprobs(APIModel):
    """Log probabilities of tokens: four lists with one entry per token.

    With `echo`, the first token has no context, so its entries are None.
    """

    text_offset: list[int] | None = None
    """Offset of each token, in characters from the start of the prompt."""
    token_logprobs: list[float | None] | None = None
    tokens: list[str] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class CompletionChoice(APIModel):
    """One of the completions of a prompt."""

    _sdk_names: ClassVar[tuple[str, ...]] = ("completion_choice", "result")

    finish_reason: Literal["stop", "length", "content_filter"] | str | None = None
    """None in a stream until the choice ends."""
    index: Index = 0
    logprobs: Logprobs | None = None
    text: NullableStr = ""


class Completion(GeneratedObject, APIResponse):
    """Completions of a prompt; in a stream, a piece of them.

    Source: https://platform.openai.com/docs/api-reference/completions/object
    """

    choices: list[CompletionChoice]
    object: str = "text_completion"
    usage: CompletionUsage | None = None
