"""A given text as though a model had generated it."""

from collections.abc import Iterator

from tunesmith.service.engines.base import GenerationSpec, ScoredToken
from tunesmith.service.engines.generation import (
    TextGeneration,
    scored_token,
    text_decoder,
    token_logprob,
)
from tunesmith.service.engines.tokenizer import END_OF_TEXT, standard_tokenizer


def recite(text: str, spec: GenerationSpec) -> TextGeneration:
    """Generate a text token by token, each with a probability of 1.

    Args:
        text: What to generate.
        spec: Of it `max_tokens`, `stop` and `top_logprobs` are honoured.

    Example:
        >>> generation = recite("One. Two.", GenerationSpec(stop=(" Two",)))
        >>> "".join(token.text for token in generation), generation.finish_reason
        ('One.', 'stop')
    """
    tokenizer = standard_tokenizer()
    tokens = [*tokenizer.encode(text), END_OF_TEXT]
    decoder = text_decoder()

    def speak() -> Iterator[ScoredToken]:
        for token in tokens:
            named = token_logprob(token, tokenizer.raw(token), 0.0)
            yield scored_token(named, [named] if spec.top_logprobs else [], decoder)

    return TextGeneration(
        speak().__next__,
        end_of_text=END_OF_TEXT,
        max_tokens=len(tokens) if spec.max_tokens is None else spec.max_tokens,
        stop=spec.stop,
    )
