"""Objectives of the training methods: the loss of a model on an example, and the updates.

- **Supervised** (completions, chats): the loss is the negative log-probability of the tokens to
  learn; their counts are raised in proportion to the gradient of the loss.
- **Preference** (DPO): the loss is `-log sigmoid(beta * margin)`, the margin being how much more
  the model has come to favour the preferred answer over the other than the model it started as.
  Counts of the preferred answer are raised and those of the other lowered, by the gradient.
- **Graded** (reinforcement): answers are sampled and graded; counts of those better than the mean
  of their group are raised, of those below it lowered. The loss is 1 minus the mean reward.

See: Rafailov et al., "Direct preference optimization" (2023); Shao et al., "DeepSeekMath" (2024)
for rewards relative to a group.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tunesmith.service.engines.generation import GenerationSpec
from tunesmith.service.engines.ngram.context_tree import ContextTree
from tunesmith.service.engines.ngram.encoding import (
    EncodedExample,
    TokenSpan,
    encode_conversation,
)
from tunesmith.service.engines.ngram.inference import Weights
from tunesmith.service.engines.ngram.tokenizer import END_OF_TEXT
from tunesmith.service.engines.training import Metrics, Row
from tunesmith.service.grading import score
from tunesmith.training_rules import PAIR_KEYS

# Tokens with a lower weight (prompts) are left out of the accuracies.
_FULL_WEIGHT = 0.5
_GROUP_SIZE = 4
_ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """Result of a model on one example, and the updates to make.

    Args:
        loss: Weighted sum over the tokens to learn.
        weight: Sum of their weights.
        n_correct: Number of tokens that were the most likely.
        n_scored: Number of tokens that were compared.
        updates: Spans to learn, with an amount for each token; a negative amount unlearns.
        n_tokens: Number of tokens read.
        reward: Mean reward, for graded examples.
    """

    loss: float
    weight: float
    n_correct: int
    n_scored: int
    updates: tuple[tuple[TokenSpan, Sequence[float]], ...]
    n_tokens: int
    reward: float | None = None


class Objective(Protocol):
    """Objective of one example."""

    def evaluate(self, weights: Weights, /) -> ObjectiveResult:
        """Evaluate a model on the example."""
        ...


def aggregate_metrics(results: Sequence[ObjectiveResult]) -> Metrics:
    """Return the metrics of several results."""
    rewards = [result.reward for result in results if result.reward is not None]
    n_scored = sum(result.n_scored for result in results)
    n_perfect = sum(result.n_correct == result.n_scored for result in results)
    weight = sum(result.weight for result in results)
    return Metrics(
        loss=sum(result.loss for result in results) / weight if weight else 0.0,
        mean_token_accuracy=sum(result.n_correct for result in results) / n_scored
        if n_scored
        else 0.0,
        sequence_accuracy=n_perfect / len(results),
        mean_reward=sum(rewards) / len(rewards) if rewards else None,
    )


@dataclass(frozen=True, slots=True)
class SupervisedObjective:
    """Likelihood of the tokens of an example."""

    example: EncodedExample

    def evaluate(self, weights: Weights, /) -> ObjectiveResult:
        """Evaluate how well a model predicts the tokens."""
        tree = weights.tree
        loss = weight = 0.0
        n_correct = n_scored = 0
        updates: list[tuple[TokenSpan, list[float]]] = []
        for span in self.example.spans:
            amounts: list[float] = []
            for position in range(span.start, span.stop):
                probability, is_most_likely = tree.predict(span.tokens, position)
                loss -= span.weight * math.log(probability)
                amounts.append(span.weight * (1 - probability))
                if span.weight >= _FULL_WEIGHT:
                    n_scored += 1
                    n_correct += is_most_likely
            weight += span.weight * (span.stop - span.start)
            updates.append((span, amounts))
        return ObjectiveResult(
            loss, weight, n_correct, n_scored, tuple(updates), self.example.n_tokens
        )


class PreferenceObjective:
    """Preference of one answer over another.

    Args:
        example: The two answers.
        reference: The initial model of the training.
        beta: Strength of the constraint to the initial model.
    """

    def __init__(self, example: Row, reference: Weights, beta: float) -> None:
        context = [{**message, "weight": 0} for message in example["input"]["messages"]]
        self._preferred, self._non_preferred = (
            encode_conversation((*context, *example[answer]), reference.tokenizer)
            for answer in PAIR_KEYS[1:]
        )
        self._beta = beta
        self._start = self._log_ratio(reference)

    def evaluate(self, weights: Weights, /) -> ObjectiveResult:
        """Evaluate how much more a model prefers the answer than the reference did."""
        margin = self._log_ratio(weights) - self._start
        doubt = 1 / (1 + math.exp(max(-500.0, min(500.0, self._beta * margin))))
        updates = [_uniform_weights(span, 2 * doubt) for span in self._preferred.spans]
        updates += [_uniform_weights(span, -2 * doubt) for span in self._non_preferred.spans]
        return ObjectiveResult(
            loss=-math.log(max(1 - doubt, 1e-200)),
            weight=1.0,
            n_correct=int(margin > 0),
            n_scored=1,
            updates=tuple(updates),
            n_tokens=self._preferred.n_tokens + self._non_preferred.n_tokens,
        )

    def _log_ratio(self, weights: Weights) -> float:
        tree = weights.tree
        return _log_probability(self._preferred, tree) - _log_probability(self._non_preferred, tree)


class ReinforcementObjective:
    """Reward of sampled answers.

    Args:
        example: The conversation, with fields for the grader.
        grader: The grader.
        seed: Seed of the sampled answers.
    """

    def __init__(self, example: Row, grader: Mapping[str, Any], seed: str) -> None:
        self._example = example
        self._grader = grader
        self._seed = seed
        self._n_answers = 0

    def evaluate(self, weights: Weights, /) -> ObjectiveResult:
        """Sample answers of a model and grade them."""
        prompt = weights.tokenizer.encode_chat(self._example["messages"])
        spans: list[TokenSpan] = []
        rewards: list[float] = []
        for _ in range(_GROUP_SIZE):
            self._n_answers += 1
            spec = GenerationSpec(max_tokens=_ANSWER_TOKENS, seed=f"{self._seed}/{self._n_answers}")
            answer = list(weights.sample(prompt, spec))
            tokens = [END_OF_TEXT, *prompt, *(token.token.id for token in answer), END_OF_TEXT]
            spans.append(TokenSpan(tokens, len(prompt) + 1, len(tokens), 1.0))
            text = "".join(token.text for token in answer)
            rewards.append(score(self._grader, text, self._example))
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


def _log_probability(example: EncodedExample, tree: ContextTree) -> float:
    return sum(
        math.log(tree.probability(span.tokens, position))
        for span in example.spans
        for position in range(span.start, span.stop)
    )
