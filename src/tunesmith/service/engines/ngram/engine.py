"""The default engine: n-gram models in plain Python, which are trained within moments.

Base models are trained on a page of English. See `context_tree` for the model, `objectives` for the
methods of training, and `encoding` for the format of examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import BaseModel

from tunesmith.service.engines.base import (
    ChatMessage,
    Training,
    TrainingSpec,
)
from tunesmith.service.engines.ngram.context_tree import ContextTree
from tunesmith.service.engines.ngram.embedding import embed
from tunesmith.service.engines.ngram.encoding import chat_prompt
from tunesmith.service.engines.ngram.inference import CONTEXT_WINDOW, Weights
from tunesmith.service.engines.ngram.tokenizer import END_OF_TEXT, load_corpus, standard_tokenizer
from tunesmith.service.engines.ngram.training import NGramTraining

# The page has a lower weight than training data.
_BASE_RATE = 0.3


class _StoredModel(BaseModel):
    """Serialized model."""

    format: Literal["tunesmith-ngram-1"] = "tunesmith-ngram-1"
    n_tokens: int
    separators: tuple[tuple[int, ...], ...]
    counts: list[list[float]]


@dataclass(frozen=True, slots=True)
class NGramModel(Weights):
    """Immutable n-gram model."""

    def train(self, spec: TrainingSpec, /) -> Training:
        """Start a training from these weights.

        Raises:
            ValueError: The list of examples is empty, or they are of several kinds.
        """
        return NGramTraining(self, spec)

    def embed(self, text: str, /, *, dimensions: int) -> list[float]:
        """Return the embedding of a text, which is the same for all models."""
        return embed(text, dimensions)

    def to_bytes(self) -> bytes:
        """Serialize the model for `NGramEngine.load`."""
        stored = _StoredModel(
            n_tokens=len(self.tokenizer), separators=self.separators, counts=self.tree.to_rows()
        )
        return stored.model_dump_json().encode()


class NGramEngine:
    """Engine of n-gram models with one vocabulary.

    Example:
        >>> from tunesmith.service.engines.base import GenerationSpec, TrainingSpec
        >>> from tunesmith.service.engines.base import CompletionTrainingExample
        >>> engine = NGramEngine()
        >>> examples = [CompletionTrainingExample("The sky is", " blue.")]
        >>> training = engine.base("davinci-002").train(TrainingSpec(examples, n_epochs=3))
        >>> losses = [step.train.loss for step in training]
        >>> losses[0] > losses[1] > losses[2]
        True
        >>> spec = GenerationSpec(temperature=0)
        >>> answer = training.snapshot().generate(engine.encode("The sky is"), spec)
        >>> "".join(token.text for token in answer)
        ' blue.'
    """

    is_fast = True
    """Whether the service may generate on the event loop instead of in threads."""

    @property
    def context_window(self) -> int:
        """Maximum number of tokens of a prompt and its completion together."""
        return CONTEXT_WINDOW

    @property
    def end_of_text(self) -> int:
        """Id of the token that ends a text; alone it is the empty prompt."""
        return END_OF_TEXT

    def encode(self, text: str, /) -> list[int]:
        """Split a text into token ids; `decode` restores it exactly."""
        return standard_tokenizer().encode(text)

    def decode(self, tokens: Sequence[int], /) -> str:
        """Join token ids to a text; incomplete characters become U+FFFD.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        return standard_tokenizer().decode(tokens)

    def encode_chat(self, messages: Sequence[ChatMessage], /) -> list[int]:
        """Return the prompt of the assistant's next turn in a conversation."""
        return chat_prompt(messages, standard_tokenizer())

    def base(self, name: str, /) -> NGramModel:  # noqa: ARG002 - one base serves all names
        """Return the base model, which is the same for all names."""
        return _base_model()

    def load(self, data: bytes, /) -> NGramModel:
        """Load a model that `NGramModel.to_bytes` serialized.

        Raises:
            ValueError: The data is not a model of this engine, or has a larger vocabulary.
        """
        stored = _StoredModel.model_validate_json(data)
        tokenizer = standard_tokenizer()
        if stored.n_tokens > len(tokenizer):
            raise ValueError(
                f"The model has {stored.n_tokens} tokens, this engine {len(tokenizer)}: "
                "it was written by a newer version of tunesmith."
            )
        tree = ContextTree.from_rows(len(tokenizer), stored.counts)
        return NGramModel(tokenizer, tree, stored.separators)


@cache
def _base_model() -> NGramModel:
    tokenizer = standard_tokenizer()
    tree = ContextTree(len(tokenizer))
    for paragraph in load_corpus("prose").splitlines():
        tokens = [END_OF_TEXT, *tokenizer.encode(paragraph), END_OF_TEXT]
        for position in range(1, len(tokens)):
            tree.learn(tokens, position, _BASE_RATE, grow=True)
    return NGramModel(tokenizer, tree)
