"""What the methods of training ask of a model: how good it is at an example, what to change.

- **Supervised** (completions, chats): the loss is the negative log-probability of the tokens to
  learn; they are counted after their contexts, the more the less they were foreseen (the slope
  of the loss).
- **Preference** (DPO): the loss is `-log sigmoid(beta * margin)`, the margin being how much more
  the model has come to favour the preferred answer over the other than the model it started as.
  Counts of the preferred answer are raised and those of the other lowered, by the loss's slope.
- **Graded** (reinforcement): answers are sampled and graded; counts of those better than the mean
  of their group are raised, of those below it lowered. The loss is 1 less the mean reward.

See: Rafailov et al., "Direct preference optimization" (2023); Shao et al., "DeepSeekMath" (2024)
for rewards relative to a group.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tunesmith.service.engines.base import (
    GenerationSpec,
    GradedExample,
    Metrics,
    PreferenceTrainingExample,
)
from tunesmith.service.engines.ngram.context_tree import ContextTree
from tunesmith.service.engines.ngram.encoding import (
    EncodedExample,
    TokenSpan,
    chat_prompt,
    encode_chat_example,
)
from tunesmith.service.engines.ngram.inference import Weights, generate
from tunesmith.service.engines.ngram.tokenizer import END_OF_TEXT

# Tokens that count less than this (prompts) are left out of the accuracies.
_FULL_WEIGHT = 0.5
_GROUP_SIZE = 4
_ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """How good a model is at one example, and what it would have to change.

    Args:
        loss: Sum over the tokens to learn, weighted.
        weight: Sum of their weights.
        n_correct: How many were the likeliest.
        n_scored: Out of how many.
        updates: Spans to learn, and how much of each of their tokens: below 0 is to unlearn.
        n_tokens: Tokens looked at.
        reward: Mean grade, where there are grades.
    """

    loss: float
    weight: float
    n_correct: int
    n_scored: int
    updates: tuple[tuple[TokenSpan, Sequence[float]], ...]
    n_tokens: int
    reward: float | None = None


class Objective(Protocol):
    """What one example asks of a model."""

    def evaluate(self, weights: Weights, /) -> ObjectiveResult:
        """Tell how good a model is at it."""
        ...


def aggregate_metrics(judgements: Sequence[ObjectiveResult]) -> Metrics:
    """Put the judgements of some examples together."""
    rewards = [judgement.reward for judgement in judgements if judgement.reward is not None]
    n_judged = sum(judgement.n_scored for judgement in judgements)
    n_perfect = sum(judgement.n_correct == judgement.n_scored for judgement in judgements)
    weight = sum(judgement.weight for judgement in judgements)
    return Metrics(
        loss=sum(judgement.loss for judgement in judgements) / weight if weight else 0.0,
        mean_token_accuracy=sum(j.n_correct for j in judgements) / n_judged if n_judged else 0.0,
        sequence_accuracy=n_perfect / len(judgements),
        mean_reward=sum(rewards) / len(rewards) if rewards else None,
    )


@dataclass(frozen=True, slots=True)
class SupervisedObjective:
    """Learn what is written."""

    lesson: EncodedExample

    def evaluate(self, weights: Weights, /) -> ObjectiveResult:
        """Tell how well a model foresees the tokens of the lesson."""
        tree = weights.tree
        loss = weight = 0.0
        n_right = n_judged = 0
        changes: list[tuple[TokenSpan, list[float]]] = []
        for span in self.lesson.spans:
            surprises: list[float] = []
            for position in range(span.start, span.stop):
                probability, is_likeliest = tree.predict(span.tokens, position)
                loss -= span.weight * math.log(probability)
                surprises.append(span.weight * (1 - probability))
                if span.weight >= _FULL_WEIGHT:
                    n_judged += 1
                    n_right += is_likeliest
            weight += span.weight * (span.stop - span.start)
            changes.append((span, surprises))
        return ObjectiveResult(
            loss, weight, n_right, n_judged, tuple(changes), self.lesson.n_tokens
        )


class PreferenceObjective:
    """Favour one answer over another.

    Args:
        example: The two answers.
        reference: The model that the training starts from.
        beta: How soon a margin over it is enough.
    """

    def __init__(self, example: PreferenceTrainingExample, reference: Weights, beta: float) -> None:
        given = tuple(replace(message, weight=0.0) for message in example.messages)
        self._liked, self._disliked = (
            encode_chat_example((*given, *answer), reference.tokenizer)
            for answer in (example.preferred, example.non_preferred)
        )
        self._beta = beta
        self._start = self._log_ratio(reference)

    def evaluate(self, weights: Weights, /) -> ObjectiveResult:
        """Tell how much more a model favours the preferred answer than the reference did."""
        margin = self._log_ratio(weights) - self._start
        doubt = 1 / (1 + math.exp(max(-500.0, min(500.0, self._beta * margin))))
        changes = [_uniform_weights(span, 2 * doubt) for span in self._liked.spans]
        changes += [_uniform_weights(span, -2 * doubt) for span in self._disliked.spans]
        return ObjectiveResult(
            loss=-math.log(max(1 - doubt, 1e-200)),
            weight=1.0,
            n_correct=int(margin > 0),
            n_scored=1,
            updates=tuple(changes),
            n_tokens=self._liked.n_tokens + self._disliked.n_tokens,
        )

    def _log_ratio(self, weights: Weights) -> float:
        tree = weights.tree
        return _log_probability(self._liked, tree) - _log_probability(self._disliked, tree)


class ReinforcementObjective:
    """Give more often the answers that earn more.

    Args:
        example: What to answer, and the grader.
        seed: Decides the answers that are sampled.
    """

    def __init__(self, example: GradedExample, seed: str) -> None:
        self._example = example
        self._seed = seed
        self._n_answers = 0

    def evaluate(self, weights: Weights, /) -> ObjectiveResult:
        """Sample answers of a model and have them graded."""
        prompt = chat_prompt(self._example.messages, weights.tokenizer)
        spans: list[TokenSpan] = []
        rewards: list[float] = []
        for _ in range(_GROUP_SIZE):
            self._n_answers += 1
            spec = GenerationSpec(max_tokens=_ANSWER_TOKENS, seed=f"{self._seed}/{self._n_answers}")
            answer = list(generate(weights, prompt, spec))
            tokens = [END_OF_TEXT, *prompt, *(token.token.id for token in answer), END_OF_TEXT]
            spans.append(TokenSpan(tokens, len(prompt) + 1, len(tokens), 1.0))
            rewards.append(self._example.grade("".join(token.text for token in answer)))
        mean = sum(rewards) / _GROUP_SIZE
        return ObjectiveResult(
            loss=1 - mean,
            weight=1.0,
            n_correct=sum(reward >= 1 for reward in rewards),
            n_scored=_GROUP_SIZE,
            updates=tuple(
                _uniform_weights(span, reward - mean)
                for span, reward in zip(spans, rewards, strict=True)
            ),
            n_tokens=sum(len(span.tokens) - 1 for span in spans),
            reward=mean,
        )


def _uniform_weights(span: TokenSpan, amount: float) -> tuple[TokenSpan, list[float]]:
    return span, [amount] * (span.stop - span.start)


def _log_probability(lesson: EncodedExample, tree: ContextTree) -> float:
    return sum(
        math.log(tree.probability(span.tokens, position))
        for span in lesson.spans
        for position in range(span.start, span.stop)
    )
